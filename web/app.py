"""The application: its routes, and how a failure becomes one sentence with a status."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from ringwatch.errors import DataError, PolicyError, RingwatchError, UnavailableError, UsageError
from ringwatch.export import escaped
from ringwatch.web import accounts, acts, pages, signing_in
from ringwatch.web.desk import Desk
from ringwatch.web.guards import Guard, RefusedError
from ringwatch.web.rendering import Pages
from ringwatch.web.sessions import Limits
from ringwatch.web.visits import AwayError, wants_json
from ringwatch.workspace import Workspace


def make_app(root: Path, origins: Mapping[str, str], *, limits: Limits | None = None) -> FastAPI:
    """The pages of the workspace at `root`.

    Args:
        origins: the origin of the pages by each Host that is answered to, like `127.0.0.1:8713` →
            `http://127.0.0.1:8713`.

    Raises:
        UsageError: there is no workspace.
    """
    Workspace.open(root)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    made = Pages()
    app.state.desk, app.state.pages = Desk(root, limits or Limits()), made
    app.state.origins = dict(origins)
    # Cookies are of a host, not of a port: two servers on one machine must not sign each other out.
    first = next(iter(origins))
    app.state.cookie = f"ringwatch-{first.rpartition(':')[2]}"
    for room in (signing_in, pages, accounts, acts):
        app.include_router(room.router)
    app.add_middleware(Guard, origins=dict(origins), refusal=lambda code, said: made.error(code, said).encode())

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in made.files:
            raise HTTPException(404)
        data, kind = made.files[name]
        # A page names them by their content.
        return Response(data, media_type=kind, headers={"cache-control": "private, max-age=31536000, immutable"})

    _failures(app, made)
    return app


def _failures(app: FastAPI, made: Pages) -> None:
    def say(request: Request, status: int, error: RingwatchError | str) -> Response:
        if wants_json(request):
            said = error.message if isinstance(error, RingwatchError) else error
            hint = error.hint if isinstance(error, RingwatchError) else ""
            return JSONResponse({"error": escaped(said), "hint": escaped(hint)}, status)
        return HTMLResponse(made.error(status, error), status)

    @app.exception_handler(RingwatchError)
    def known(request: Request, error: RingwatchError) -> Response:
        return say(request, status_of(error, reading=request.method in ("GET", "HEAD")), error)

    @app.exception_handler(RefusedError)
    def refused(request: Request, error: RefusedError) -> Response:
        return say(request, error.status, error.sentence)

    @app.exception_handler(AwayError)
    def away(request: Request, _: AwayError) -> Response:
        if request.method == "GET" and not wants_json(request):
            place = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/signin?{urlencode({'next': place})}", 303)
        return say(
            request, 401, UsageError("You are signed out.", hint="Sign in in another tab, and load this page again.")
        )

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, _: RequestValidationError) -> Response:
        return say(request, 400, "Something in that address is no number.")

    @app.exception_handler(HTTPException)
    def other(request: Request, error: HTTPException) -> Response:
        return say(request, error.status_code, "There is no such page." if error.status_code == 404 else error.detail)


def status_of(error: RingwatchError, *, reading: bool) -> int:
    """The HTTP status that stands for an error."""
    if isinstance(error, UsageError):
        return 404 if reading else 409
    if isinstance(error, PolicyError):
        return 403
    if isinstance(error, UnavailableError):
        return 503
    return 422 if isinstance(error, DataError) else 500
