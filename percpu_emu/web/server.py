"""The server of `percpu-emu demo`: files of the package, lessons as JSON, one WebSocket for each tab. Loopback only."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from percpu_emu.report.glossary import meanings, terms
from percpu_emu.web.lessons import lesson_json, lessons
from percpu_emu.web.levels import levels
from percpu_emu.web.tab import Tab

ADDRESS: Final = "127.0.0.1"
TABS: Final = 16
"""At a time: each has up to two processes, and a machine of up to 16 CPUs."""
LONGEST_MESSAGE: Final = 1 << 18
PING_SECONDS: Final = 2.5
"""A browser that has gone without a word is noticed after twice that."""
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


class OwnPagesOnly:
    """Refuses who asks for another host, or comes from a page of another origin (DNS rebinding, forged requests)."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        wrong = self._wrong(scope)
        if wrong is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": wrong})
        else:
            await PlainTextResponse(wrong, 403)(scope, receive, send)

    def _wrong(self, scope: Scope) -> str | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("host") not in self._hosts:
            return "this server answers under the address that it printed, and no other"
        origin = headers.get("origin")
        if origin is None and scope["type"] == "http":
            return None
        return None if origin in {f"http://{host}" for host in self._hosts} else "only this server's own pages may ask"


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *((n.encode(), v.encode()) for n, v in _HEADERS.items())]
        await send(message)

    return sending


class Demo:
    """The application: what it answers."""

    def __init__(self, hosts: frozenset[str], seed: int | None) -> None:
        self._seed = seed
        self._tabs = 0
        routes = [
            Route("/api/lessons", self._lessons),
            Route("/page/{name}", self._file),
            WebSocketRoute("/tab", self._tab),
            Route("/{path:path}", self._page),
        ]
        self.app = OwnPagesOnly(Starlette(routes=routes), hosts)

    async def _page(self, _request: Request) -> Response:
        """One page for all addresses: its script looks which one it is."""
        return HTMLResponse(_page_file("index.html").read_text(encoding="utf-8"))

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = _page_file(name)
        kind = _TYPES.get(name[name.rfind(".") :])
        if kind is None or not found.is_file():
            raise HTTPException(404)
        return Response(found.read_bytes(), media_type=kind)

    async def _lessons(self, _request: Request) -> Response:
        """All that the page knows without a machine."""
        return JSONResponse(
            {
                "lessons": list(map(lesson_json, lessons())),
                "levels": [level.model_dump() for level in levels()],
                "terms": [{"term": term.term, "text": term.text} for term in terms()],
                "glossary": meanings(),
                "seed": self._seed,
            }
        )

    async def _tab(self, websocket: WebSocket) -> None:
        await websocket.accept()
        if self._tabs >= TABS:
            await websocket.close(1013, f"{TABS} tabs are open already: close one")
            return
        self._tabs += 1
        try:
            await Tab(websocket).serve()
        finally:
            self._tabs -= 1


def _page_file(name: str) -> Traversable:
    """A file of the page, in this floor's folder or in the one whose files `explore --html` puts into a page, too."""
    here = files("percpu_emu.web") / "page" / name
    return here if here.is_file() else files("percpu_emu.report") / "page" / name


def serve(port: int, seed: int | None, ready: Callable[[str], None]) -> None:
    """Serve until a signal comes; `ready` is called with the address once it can be opened. Port 0 is any free one.

    Raises OSError where the port is taken.
    """
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ADDRESS, port))
        port = listening.getsockname()[1]
        hosts = frozenset({f"{ADDRESS}:{port}", f"localhost:{port}"})
        config = uvicorn.Config(
            Demo(hosts, seed).app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=LONGEST_MESSAGE,
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=PING_SECONDS,
            timeout_graceful_shutdown=8,
        )
        server = _Announcing(config, lambda: ready(f"http://{ADDRESS}:{port}/"))
        server.run(sockets=[listening])


class _Announcing(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        await super().startup(sockets)
        self._ready()
