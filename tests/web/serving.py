"""A demo server in a process of its own, and what it has started."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.sync.client import ClientConnection, connect

PATIENCE = 60.0


@dataclass
class Server:
    """One that listens."""

    process: subprocess.Popen[str]
    opening: str
    """The address that it prints, with the token."""

    @property
    def port(self) -> int:
        port = urlsplit(self.opening).port
        assert port is not None
        return port

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.opening).query)["token"][0]

    @property
    def cookie(self) -> str:
        """As a browser sends it that has opened the address."""
        return f"percpu-emu-{self.port}={self.token}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return f"http://{self.host}"

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest("GET", path, skip_host=True)
            for name, value in {"Host": self.host, "Cookie": self.cookie, **(headers or {})}.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def tab(self, origin: str | None = None, cookie: str | None = None) -> ClientConnection:
        """A tab, as a page of this server opens it."""
        return connect(
            f"ws://{self.host}/tab",
            origin=origin or self.address,  # type: ignore[arg-type]
            additional_headers={"Cookie": self.cookie if cookie is None else cookie},
            open_timeout=PATIENCE,
        )

    def workers(self) -> list[int]:
        """The processes of its tabs, and theirs."""
        return descendants(self.process.pid)


@contextmanager
def serving(cwd: Path) -> Iterator[Server]:
    """A server, until the block ends."""
    command = [sys.executable, "-m", "percpu_emu", "demo", "--port", "0", "--no-open", "--json"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=cwd, start_new_session=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield Server(process, json.loads(line)["figures"]["address"])
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def asks(tab: ClientConnection, **message: Any) -> dict[str, Any]:
    """Send it and take the next answer."""
    tab.send(json.dumps(message))
    found: dict[str, Any] = json.loads(tab.recv(timeout=PATIENCE * 2))
    return found


def descendants(pid: int) -> list[int]:
    """Children, and theirs."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for child in map(int, children) for found in (child, *descendants(child))]


def left_of(pids: list[int]) -> list[int]:
    """Those that still run after 10 seconds."""
    deadline = time.monotonic() + 10
    while (left := [pid for pid in pids if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
