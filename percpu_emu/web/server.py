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
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from percpu_emu.report.glossary import meanings, terms
from percpu_emu.web.guard import OwnBrowserOnly
from percpu_emu.web.lessons import lesson_json, lessons
from percpu_emu.web.levels import levels
from percpu_emu.web.tab import Tab

ADDRESS: Final = "127.0.0.1"
TABS: Final = 16
"""At a time: each has up to two processes, and a machine of up to 16 CPUs."""
CONNECTIONS: Final = 96
"""At a time: a browser opens up to six for the files of a page, and one for each tab."""
LONGEST_MESSAGE: Final = 1 << 16
"""Bytes; the longest schedule takes a third."""
PING_SECONDS: Final = 2.5
"""A browser that has gone without a word is noticed after twice that."""
_PAGES: Final = ("", "lesson/{name}", "game", "game/{name}", "explore/{name}", "machine/{name}", "glossary")
"""The addresses of `page/app.js`."""
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Demo:
    """The application: what it answers."""

    def __init__(self, seed: int | None) -> None:
        self._seed = seed
        self._tabs = 0
        self._files = {path.name: path for folder in _page_folders() for path in folder.iterdir()}
        routes = [
            Route("/api/lessons", self._lessons),
            Route("/page/{name}", self._file),
            WebSocketRoute("/tab", self._tab),
            *(Route(f"/{path}", self._page) for path in _PAGES),
            Route("/{path:path}", self._no_such_page),
        ]
        self.app = Starlette(routes=routes)

    async def _page(self, _request: Request) -> Response:
        """One page for all addresses: its script looks which one it is."""
        return HTMLResponse(self._files["index.html"].read_text(encoding="utf-8"))

    async def _no_such_page(self, request: Request) -> Response:
        """The page says so, and leads on."""
        page = await self._page(request)
        page.status_code = 404
        return page

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        found, kind = self._files.get(name), _TYPES.get(name[name.rfind(".") :])
        if found is None or kind is None:
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


def _page_folders() -> list[Traversable]:
    """Files of the page: those that `explore --html` puts into a page, too, and this floor's own."""
    return [files("percpu_emu.report") / "page", files("percpu_emu.web") / "page"]


def serve(port: int, seed: int | None, ready: Callable[[str], None]) -> None:
    """Serve until a signal comes; `ready` is called with the address once it can be opened. Port 0 is any free one.

    Raises OSError where the port is taken.
    """
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ADDRESS, port))
        port = listening.getsockname()[1]
        guarded = OwnBrowserOnly(Demo(seed).app, port, frozenset({f"{ADDRESS}:{port}", f"localhost:{port}"}))
        config = uvicorn.Config(
            guarded,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=LONGEST_MESSAGE,
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=PING_SECONDS,
            timeout_graceful_shutdown=8,
            limit_concurrency=CONNECTIONS,
        )
        server = _Announcing(config, lambda: ready(f"http://{ADDRESS}:{port}/?token={guarded.token}"))
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
