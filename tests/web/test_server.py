"""The server of the demo: who may ask, what a tab has for itself, and that nothing of it stays."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from percpu_emu.web.server import TABS

from .serving import PATIENCE, Server, asks, left_of, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("demo")) as server:
        yield server


def test_every_address_is_the_one_page_and_may_load_nothing_from_elsewhere(server: Server) -> None:
    for path in ("/", "/lesson/release", "/game"):
        status, headers, body = server.get(path)
        assert status == 200
        assert b'src="/page/app.js"' in body
        assert b"http" not in body
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")


def test_what_the_page_loads_is_there_and_nothing_else_is(server: Server) -> None:
    assert server.get("/page/app.js")[1]["content-type"].startswith("text/javascript")
    assert server.get("/page/stepper.js")[0] == 200
    for path in ("/page/none.js", "/page/index.html", "/page/..%2fserver.py", "/page/%2e%2e/server.py", "/page/"):
        assert server.get(path)[0] == 404, path


def test_the_lessons_come_with_the_levels_and_the_glossary(server: Server) -> None:
    found = json.loads(server.get("/api/lessons")[2])
    assert [lesson["number"] for lesson in found["lessons"]] == list(range(1, 10))
    assert found["levels"]
    assert "grace period" in found["glossary"]


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1", "127.0.0.1:1", "evil.localhost:80"])
def test_another_host_is_refused(server: Server, host: str) -> None:
    status, _, body = server.get("/api/lessons", {"Host": host})
    assert (status, b"terms" in body) == (403, False)


def test_another_origin_is_refused(server: Server) -> None:
    assert server.get("/api/lessons", {"Origin": "http://example.org"})[0] == 403
    assert server.get("/api/lessons", {"Origin": server.address})[0] == 200
    for origin in ("http://example.org", "null", f"https://{server.host}"):
        with pytest.raises(InvalidStatus, match="403"):
            server.tab(origin)


def test_requests_that_no_process_takes_are_not_kept_for_ever(server: Server) -> None:
    with server.tab() as tab:
        long = json.dumps({"to": "explorer", "id": 1, "ask": "play", "scenario": "none", "choices": [12345] * 4000})
        for _ in range(90):
            tab.send(long)
        answers = [json.loads(tab.recv(timeout=PATIENCE)) for _ in range(90)]
    busy = [answer["error"] for answer in answers if "error" in answer]
    assert busy
    assert set(busy) == {"the explorer has more to do than it takes: wait for its answers"}
    assert [answer["says"]["error"] for answer in answers if "says" in answer]


def test_there_is_an_end_to_tabs(tmp_path: Path) -> None:
    with ExitStack() as tabs:
        server = tabs.enter_context(serving(tmp_path))  # of its own: the last test's tab may still be closing
        opened = [tabs.enter_context(server.tab()) for _ in range(TABS + 1)]
        with pytest.raises(ConnectionClosed, match="16 tabs are open already: close one"):
            opened[-1].recv(timeout=PATIENCE)
        asks(opened[0], to="explorer", id=1, ask="play", scenario="none")


def test_each_tab_has_a_machine_of_its_own_which_ends_with_it(server: Server) -> None:
    before = set(server.workers())
    with server.tab() as one, server.tab() as other:
        for tab in (one, other):
            answer = asks(tab, to="machine", do="start", scenario="playground", overrides={})
            assert answer["from"] == "machine"
        while sum(1 for _ in range(2) if len(set(server.workers()) - before) < 10):
            one.recv(timeout=PATIENCE)  # two coordinators with four CPUs each
        found = set(server.workers()) - before
        one.close()
        deadline = time.monotonic() + 10
        while len(set(server.workers()) - before) > 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(set(server.workers()) - before) == 5
    assert left_of(sorted(found)) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_whatever_ends_the_server_nothing_stays(tmp_path: Path, number: int, code: int) -> None:
    with serving(tmp_path) as server, server.tab() as tab:
        asks(tab, to="machine", do="start", scenario="playground", overrides={})
        while len(found := server.workers()) < 5:
            tab.recv(timeout=PATIENCE)
        server.process.send_signal(number)
        _, errors = server.process.communicate(timeout=PATIENCE)
        assert server.process.returncode == code
        assert "Traceback" not in errors
        assert left_of(found) == []


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = _demo(tmp_path, "--port", port)
    assert done.returncode == 3
    assert (
        done.stderr
        == f"percpu-emu: port {port} cannot be used (Address already in use): --port 0 takes one that is free\n"
    )


def test_without_its_packages_the_command_says_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('none', name='uvicorn')\n")
    done = _demo(tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 3
    assert "demo needs the package uvicorn, which is not installed: pip install 'percpu-emu[web]'" in done.stderr


def _demo(cwd: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os  # noqa: PLC0415

    command = [sys.executable, "-m", "percpu_emu", "demo", "--no-open", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=PATIENCE,
        env={**os.environ, **environment},
        check=False,
    )
