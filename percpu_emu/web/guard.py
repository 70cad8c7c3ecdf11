"""Who may ask the server: this user's own browser, on this server's own pages.

Other users of the host reach a loopback address, too, and so do pages of other sites, by this user's browser. So the
address that is opened first has a token, which the browser keeps as a cookie.
"""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}
_ANOTHER_HOST: Final = "this server answers under the address that it printed, and no other"
_ANOTHER_ORIGIN: Final = "only this server's own pages may ask"
_NO_TOKEN: Final = "open the whole address that percpu-emu demo printed: it has the token of this server"


class OwnBrowserOnly:
    """Refuses a request for another host (DNS rebinding), from a page of another origin, or without the token."""

    def __init__(self, app: ASGIApp, port: int, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts
        self._cookie = f"percpu-emu-{port}"
        """Browsers keep one set of cookies for all ports of a host."""
        self.token = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        headers = dict(_HEADERS)
        if self._is_token(parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]):
            headers["set-cookie"] = f"{self._cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
        if (wrong := self._wrong(scope, opened="set-cookie" in headers)) is None:
            await self._app(scope, receive, _with_headers(send, headers))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": wrong})
        else:
            await PlainTextResponse(wrong, 403)(scope, receive, _with_headers(send, _HEADERS))

    def _wrong(self, scope: Scope, *, opened: bool) -> str | None:
        """Why a request is refused; `opened`: its address has the token."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("host") not in self._hosts:
            return _ANOTHER_HOST
        origin = headers.get("origin")
        is_a_page = origin is None and scope["type"] == "http"
        if not is_a_page and origin not in {f"http://{host}" for host in self._hosts}:
            return _ANOTHER_ORIGIN
        is_known = self._is_token(_cookie(headers.get("cookie", ""), self._cookie))
        return None if is_known or (opened and scope["type"] == "http") else _NO_TOKEN

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors="replace"), self.token.encode())


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _with_headers(send: Send, headers: dict[str, str]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *((n.encode(), v.encode()) for n, v in headers.items())]
        await send(message)

    return sending
