"""What every request meets before a page does: the host it names, where it comes from, how much it sends; and the
headers that every answer carries.

The Host check is what stops DNS rebinding: a page of another site whose name is made to point here sends that name.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOG = logging.getLogger("ringwatch.web")

MOST_BODY = 1 << 20
"""Bytes of a form: a proposal that says something of each of ten thousand members has less."""

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: forms would then be sent with the origin null.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}


class RefusedError(Exception):
    """A request that gets no further: the status, and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Guard:
    """Lets through what names one of `origins` (host → the origin that its pages have), comes from that origin where
    it changes anything, and is no larger than `MOST_BODY`. `refusal` makes the page of a refusal."""

    def __init__(self, app: App, origins: Mapping[str, str], refusal: Callable[[int, str], bytes]) -> None:
        self._app = app
        self._origins = origins
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RefusedError(400, "Only HTTP is spoken here.")
        began, status, started = time.monotonic(), 0, False

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                own = {name for name, _ in message["headers"]}
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in own]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, _bounded(receive), answer)
        except RefusedError as error:
            if started:
                raise
            await _say(answer, error.status, self._refusal(error.status, error.sentence))
        except Exception as error:  # noqa: BLE001 (the last door: a fault of ours is one sentence, too)
            # Without its text: that may quote what nobody should read in a log.
            LOG.error("unforeseen=%s", type(error).__name__)  # noqa: TRY400
            if not started:
                said = "Something unforeseen happened; it is a fault of ringwatch."
                await _say(answer, 500, self._refusal(500, said))
        finally:
            # The route, never the path: paths name accounts and clusters.
            route = getattr(scope.get("route"), "path", "-")
            took = (time.monotonic() - began) * 1000
            LOG.info("method=%s route=%s status=%d ms=%.0f", scope["method"], route, status, took)

    def _check(self, scope: Scope) -> None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = headers.get(b"host", [])
        origin = self._origins.get(hosts[0].decode("latin-1").lower()) if len(hosts) == 1 else None
        if origin is None:
            raise RefusedError(421, "This server does not answer to that name.")
        if scope["method"] in ("GET", "HEAD"):
            return
        if scope["method"] != "POST":
            raise RefusedError(405, "Pages are read by GET and changed by POST.")
        sent_from = [value.decode("latin-1") for value in headers.get(b"origin", [])]
        site = [value.decode("latin-1") for value in headers.get(b"sec-fetch-site", [])]
        if any(one != origin for one in sent_from) or any(one != "same-origin" for one in site):
            raise RefusedError(403, "That came from a page of another site, and was not done.")
        if headers.get(b"content-type", [b""])[0].split(b";")[0] != b"application/x-www-form-urlencoded":
            raise RefusedError(415, "Forms are read, and nothing else.")
        length = headers.get(b"content-length", [b"0"])[0]
        if not length.isdigit() or int(length) > MOST_BODY:
            raise RefusedError(413, f"More than {MOST_BODY >> 20} MiB was sent, and was not read.")


def _bounded(receive: Receive) -> Receive:
    """What is received, up to the bound: a length that was not declared, or was declared wrong, is counted."""
    taken = 0

    async def take() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BODY:
            raise RefusedError(413, f"More than {MOST_BODY >> 20} MiB was sent, and was not read.")
        return message

    return take


async def _say(send: Send, status: int, page: bytes) -> None:
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(page)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": page})
