"""The pages of signing in and out."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from ringwatch.errors import PolicyError
from ringwatch.review import load_book
from ringwatch.web.guards import RefusedError
from ringwatch.web.visits import VISITOR, Sent, Visiting, go, here, new_visitor, secure

router = APIRouter()


@router.get("/")
def first() -> Response:
    return RedirectResponse("/queue", 303)


@router.get("/signin")
def ask(request: Request, next: str = "/queue") -> Response:
    return _page(request, here(next))


def _page(request: Request, place: str, *, said: str = "", status: int = 200) -> Response:
    state = request.app.state
    visitor = request.cookies.get(VISITOR) or new_visitor()
    nobody = not load_book(state.desk.workspace()).reviewers
    page = HTMLResponse(
        state.pages.render(
            "signin", who=None, token=state.desk.sessions.token_of(visitor), next=place, said=said, nobody=nobody
        ),
        status,
    )
    _keep(request, page, VISITOR, visitor)
    return page


def _keep(request: Request, answer: Response, name: str, value: str) -> None:
    # Without an age: gone with the browser.
    answer.set_cookie(name, value, httponly=True, samesite="strict", secure=secure(request), path="/")


@router.post("/signin")
def enter(request: Request, form: Sent) -> Response:
    state = request.app.state
    visitor = request.cookies.get(VISITOR, "")
    due = state.desk.sessions.token_of(visitor)
    if not visitor or not hmac.compare_digest(form.one("token").encode(), due.encode()):
        raise RefusedError(403, "That form is too old: load the page again.")
    place = here(form.one("next"))
    try:
        signer = state.desk.signer(form.one("name"), form.passphrase())
    except PolicyError as error:
        return _page(request, place, said=error.message, status=403)
    except RefusedError as error:
        return _page(request, place, said=error.sentence, status=error.status)
    answer = go(request, place)
    state.desk.sessions.end(request.cookies.get(state.cookie))
    _keep(request, answer, state.cookie, state.desk.sessions.begin(signer.name))
    answer.delete_cookie(VISITOR, path="/")
    return answer


@router.post("/signout")
def leave(visiting: Visiting, form: Sent) -> Response:
    visiting.check(form)
    state = visiting.request.app.state
    visiting.desk.sessions.end(visiting.request.cookies.get(state.cookie))
    answer = visiting.go("/signin")
    answer.delete_cookie(state.cookie, path="/")
    return answer
