"""A request as the pages see it: who it is from, what the form says, and how it is answered."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from ringwatch.errors import RingwatchError, UsageError
from ringwatch.export import unescaped
from ringwatch.review import Book, Reviewer, load_book
from ringwatch.web.desk import Desk
from ringwatch.web.guards import RefusedError
from ringwatch.web.rendering import Pages
from ringwatch.web.sessions import Session
from ringwatch.workspace import Workspace

_MOST_FIELDS = 60_000
VISITOR = "ringwatch-visitor"


class AwayError(Exception):
    """Nobody is signed in."""


@dataclass(frozen=True)
class Form:
    """The fields of a form. Ids come back as pages show them: spelled out, and are read as what they stand for."""

    fields: tuple[tuple[str, str], ...]

    def one(self, name: str) -> str:
        """The value of a field; empty where it is not there."""
        return next((value for key, value in self.fields if key == name), "").strip()

    def all(self, name: str) -> list[str]:
        """The values of a field that may be there several times."""
        return [value for key, value in self.fields if key == name]

    def passphrase(self) -> str:
        return next((value for key, value in self.fields if key == "passphrase"), "")

    def ids(self, name: str) -> list[str]:
        """The ids in a field, one a line."""
        text = next((value for key, value in self.fields if key == name), "")
        return [unescaped(line.strip()) for line in text.splitlines() if line.strip()]

    def numbered(self, begins: str) -> dict[int, str]:
        """The values of fields like `a17`, by number; those that are empty are left out."""
        found = {}
        for key, value in self.fields:
            number = key.removeprefix(begins)
            if key.startswith(begins) and number.isascii() and number.isdigit() and value.strip():
                found[int(number)] = value.strip()
        return found


async def read_form(request: Request) -> Form:
    """The form that was sent.

    Raises:
        RefusedError: it is none.
    """
    try:
        text = (await request.body()).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise RefusedError(400, "That is no form.") from error
    return Form(tuple(pairs))


Sent = Annotated[Form, Depends(read_form)]


@dataclass(frozen=True)
class Visit:
    """Somebody who is signed in, and what they look at."""

    request: Request
    desk: Desk
    pages: Pages
    workspace: Workspace
    book: Book
    reviewer: Reviewer
    session: Session

    def page(self, name: str, **values: Any) -> HTMLResponse:
        """The page of a template; what was done before it is said once."""
        said, self.session.said = self.session.said, ""
        return HTMLResponse(self.pages.render(name, who=self.reviewer, token=self.session.token, said=said, **values))

    def check(self, form: Form) -> None:
        """Nothing, where the form is one of this session's.

        Raises:
            RefusedError: it is not.
        """
        if not hmac.compare_digest(form.one("token").encode(), self.session.token.encode()):
            raise RefusedError(403, "That form is of another session: load the page again. Nothing was done.")

    def go(self, place: str, said: str = "") -> Response:
        """On to another page, which says what was done."""
        self.session.said = said
        return go(self.request, place)


def visit(request: Request) -> Visit:
    """The visit of a request.

    Raises:
        AwayError: nobody is signed in, or they may sign no more.
    """
    state = request.app.state
    desk: Desk = state.desk
    cookie = request.cookies.get(state.cookie)
    session = desk.sessions.find(cookie)
    if session is None:
        raise AwayError
    workspace = desk.workspace()
    book = load_book(workspace)
    try:
        reviewer = book.reviewer(session.name)
    except RingwatchError as error:
        desk.sessions.end(cookie)
        raise AwayError from error
    return Visit(request, desk, state.pages, workspace, book, reviewer, session)


Visiting = Annotated[Visit, Depends(visit)]


def wants_json(request: Request) -> bool:
    """Whether a script asks, which shows what comes in the page that is open."""
    return request.headers.get("accept") == "application/json"


def go(request: Request, place: str) -> Response:
    """On to another page of this server."""
    if wants_json(request):
        return JSONResponse({"location": place})
    return RedirectResponse(place, 303)


def here(place: str) -> str:
    """A place to go on to, if it is a page of this server, else the first page."""
    inside = place.startswith("/") and not place.startswith(("//", "/\\")) and place.isprintable()
    return place if inside and "\\" not in place else "/queue"


def secure(request: Request) -> bool:
    """Whether the browser speaks TLS."""
    origins: dict[str, str] = request.app.state.origins
    return origins[request.headers["host"].lower()].startswith("https:")


def new_visitor() -> str:
    return secrets.token_urlsafe(24)


def chosen(value: str, known: Sequence[str], what: str) -> str:
    """One of what there is.

    Raises:
        UsageError: it is none.
    """
    if value not in known:
        raise UsageError(f"There is no {what} '{value[:40]}'.", hint=f"Choose one of: {', '.join(known)}.")
    return value
