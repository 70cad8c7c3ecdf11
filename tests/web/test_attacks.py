"""Attacks on the demo: by another user of the host, by a page of another site, by a page of its own gone wrong.

Whatever is sent, the answer is a refusal, the log has a line and no traceback, and the server goes on.
"""

from __future__ import annotations

import json
import random
import socket
import string
import time
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from percpu_emu.web.server import LONGEST_MESSAGE
from percpu_emu.web.tab import MOST_WRONG, RATE

from .serving import PATIENCE, Server, asks, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from websockets.sync.client import ClientConnection


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Server]:
    """A server. Behind the attack it answers as before, and its log is short and without a traceback."""
    with serving(tmp_path) as server:
        yield server
        assert server.get("/api/lessons")[0] == 200
        with server.tab() as tab:
            assert (
                "no scenario that ships" in asks(tab, to="explorer", id=1, ask="explore", scenario="x")["says"]["error"]
            )
        server.process.terminate()
        _, log = server.process.communicate(timeout=PATIENCE)
    assert "Traceback" not in log
    assert len(log) < 30_000
    assert log.rstrip().endswith("percpu-emu: ended; every tab's processes are, too")


# --- without the token

NO_TOKEN = b"open the whole address that percpu-emu demo printed: it has the token of this server"


def test_without_the_token_nothing_is_served_and_no_socket_opens(attacked: Server) -> None:
    wrong = [
        {"Cookie": ""},
        {"Cookie": f"percpu-emu-{attacked.port}="},
        {"Cookie": f"percpu-emu-{attacked.port}={attacked.token[:-1]}"},
        {"Cookie": f"percpu-emu={attacked.token}"},
        {"Cookie": f"percpu-emu-{attacked.port}=\xe9\xff"},
        {"Cookie": "a" * 4000},
    ]
    for headers in wrong:
        for path in ("/", "/api/lessons", "/page/app.js", "/lesson/release", "/nothing", "/?token=", "/?token=%ff%00"):
            status, answered, body = attacked.get(path, headers)
            assert (status, body) == (
                403,
                b"open the whole address that percpu-emu demo printed: it has the token of this server",
            )
            assert "set-cookie" not in answered
            assert answered["content-security-policy"].startswith("default-src 'none'")
        with pytest.raises(InvalidStatus, match="403"):
            attacked.tab(cookie=headers["Cookie"])
    assert attacked.workers() == []


def test_the_token_in_the_address_becomes_a_strict_cookie(attacked: Server) -> None:
    status, headers, body = attacked.get(f"/?token={attacked.token}", {"Cookie": ""})
    assert (status, b'src="/page/app.js"' in body) == (200, True)
    assert headers["set-cookie"] == f"{attacked.cookie}; Path=/; HttpOnly; SameSite=Strict"
    assert headers["referrer-policy"] == "no-referrer"
    with pytest.raises(InvalidStatus, match="403"):  # a socket is for pages, which have the cookie
        attacked.tab(cookie="")


def test_each_server_has_a_token_of_its_own(attacked: Server, tmp_path: Path) -> None:
    with serving(tmp_path) as other:
        assert other.token != attacked.token
        assert len(other.token) >= 43
        assert other.get("/", {"Cookie": f"percpu-emu-{other.port}={attacked.token}"})[0] == 403


# --- addresses


STRANGE = ["/" + "a" * 5000, "/page/" + "a" * 5000, "/page/" + "%00", "/page/..%2f..%2fetc%2fpasswd", "/page/%ff",
           "/page//app.js", "//app.js", "/lesson/a/b", "/lesson/" + "x" * 5000 + "/y", "/%2e%2e/%2e%2e/etc/passwd",
           "/page/app.js%20", "/page/.", "/page/..", "/api/", "/tab", "/\\..\\..", "/page/app.js/x"]  # fmt: skip


@pytest.mark.parametrize("path", STRANGE, ids=lambda path: path[:24])
def test_a_strange_address_is_not_found(path: str, server: Server) -> None:
    assert server.get(path)[0] == 404


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("demo")) as server:
        yield server


def test_random_addresses_are_answered(attacked: Server) -> None:
    rng = random.Random(1)
    signs = string.printable[:94].replace(" ", "") + "%"
    for _ in range(300):
        path = "/" + "".join(rng.choices(signs, k=rng.randrange(200)))
        assert attacked.get(path)[0] in (200, 400, 404)


def test_what_is_no_http_is_answered_or_closed(attacked: Server) -> None:
    rng = random.Random(2)
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", attacked.port), timeout=PATIENCE) as connection:
            connection.sendall(rng.randbytes(rng.randrange(2000)) + b"\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass


# --- messages


def flood(tab: ClientConnection, messages: Sequence[str | bytes]) -> None:
    """Send them, and take answers until the tab is closed."""
    for message in messages:
        tab.send(message)
    while True:
        tab.recv(timeout=PATIENCE)


def wrapped(inside: str) -> str:
    return f'{{"to": "explorer", "id": 1, "ask": "play", "scenario": "one-word", "choices": {inside}}}'


WRONG = {
    "nothing": "",
    "no object": "[]",
    "half": "{",
    "for no process": '{"to": "printer"}',
    "nested": "[" * 30_000,
    "nested inside": wrapped("[" * 20_000 + "]" * 20_000),
    "digits": wrapped(f"[{'9' * 5000}]"),
    "digits of the id": wrapped("[]").replace('"id": 1', f'"id": {"9" * 5000}'),
    "float": wrapped("[1e999]"),
    "nan": wrapped("[NaN]"),
    "surrogate": wrapped("[]").replace("one-word", "\\ud800"),
    "control": wrapped("[]").replace("one-word", "\\u0000"),
    "name is a list": wrapped("[]").replace('"one-word"', "[1]"),
    "name is an object": wrapped("[]").replace('"one-word"', '{"a": 1}'),
    "name is null": wrapped("[]").replace('"one-word"', "null"),
    "ask is a list": wrapped("[]").replace('"play"', "[]"),
    "to is a list": wrapped("[]").replace('"explorer"', "[]"),
    "unknown question": wrapped("[]").replace('"play"', '"system"'),
    "unknown command": '{"to": "machine", "do": "shutdown"}',
    "cpu is true": '{"to": "machine", "do": "hold", "cpu": true}',
    "cpu is negative": '{"to": "machine", "do": "hold", "cpu": -1}',
    "overrides is a list": '{"to": "machine", "do": "start", "scenario": "playground", "overrides": []}',
    "unknown override": '{"to": "machine", "do": "start", "overrides": {"faults.inject": []}}',
    "path": '{"to": "machine", "do": "start", "scenario": "\\n/etc/passwd"}',
    "further key": wrapped("[]").replace('"id": 1', '"id": 1, "more": 1'),
    "many choices": wrapped(str([1] * 5000)),
    "token": '{"to": "explorer", "id": 1, "ask": "trace", "token": "\\u202e"}',
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_message_that_does_not_fit_is_refused_in_a_sentence(text: str, server: Server) -> None:
    with server.tab() as tab:
        tab.send(text)
        error = json.loads(tab.recv(timeout=PATIENCE))["error"]
        assert error.startswith("a message does not fit: ")
        assert len(error) < 400
        assert server.workers() == [] or "says" not in error
        assert "says" in asks(tab, to="explorer", id=2, ask="explore", scenario="x")


def test_random_messages_reach_no_process(attacked: Server) -> None:
    rng = random.Random(3)
    whole = wrapped("[1, 2, 3]")
    for _ in range(10):
        with attacked.tab() as tab:
            for _ in range(MOST_WRONG - 1):
                at = rng.randrange(len(whole))
                tab.send(whole[:at] + rng.choice('{}[]",:0\\\x7f\u2028') + whole[at + rng.randrange(1, 9) :])
            for _ in range(MOST_WRONG - 1):
                tab.recv(timeout=PATIENCE)


def test_a_tab_that_goes_on_sending_what_does_not_fit_is_closed(attacked: Server) -> None:
    with attacked.tab() as tab, pytest.raises(ConnectionClosed, match=f"{MOST_WRONG} messages were wrong"):
        flood(tab, ["noise"] * 10 * MOST_WRONG)


def test_a_flood_of_messages_is_cut_off(attacked: Server) -> None:
    text = '{"to": "explorer", "id": 1, "ask": "explore", "scenario": "x"}'
    with attacked.tab() as tab, pytest.raises(ConnectionClosed):
        flood(tab, [text] * 20 * RATE)


def test_ten_megabytes_of_noise_are_not_taken(attacked: Server) -> None:
    for _ in range(10):
        with attacked.tab() as tab, pytest.raises(ConnectionClosed, match="1009"):
            flood(tab, ["x" * (1 << 20)])
    with attacked.tab() as tab:
        tab.send("x" * LONGEST_MESSAGE)
        assert "does not fit" in tab.recv(timeout=PATIENCE)


def test_bytes_close_the_tab(attacked: Server) -> None:
    with attacked.tab() as tab, pytest.raises(ConnectionClosed):
        flood(tab, [b"\x00\xff"])


def test_a_client_that_takes_nothing_is_dropped(attacked: Server) -> None:
    """Its operating system takes some, then the answers wait; it answers no ping, either."""
    with socket.create_connection(("127.0.0.1", attacked.port), timeout=PATIENCE) as connection:
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13"
        connection.sendall(
            f"GET /tab HTTP/1.1\r\nHost: {attacked.host}\r\nOrigin: {attacked.address}\r\nCookie: {attacked.cookie}\r\n"
            f"Connection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n\r\n".encode()
        )
        assert connection.recv(12) == b"HTTP/1.1 101"
        ask = b'{"to":"explorer","id":1,"ask":"trace","scenario":"one-word"}'
        connection.sendall(bytes([0x81, 0x80 | len(ask), 0, 0, 0, 0]) + ask)
        deadline = time.monotonic() + PATIENCE
        while not attacked.workers() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert attacked.workers()
        while attacked.workers() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert attacked.workers() == []
