"""The command `ringwatch`: its groups, and how a failure ends it (contract, section 3)."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from importlib import metadata
from typing import Annotated

import typer

from ringwatch.cli import (
    bench,
    clusters,
    console,
    demo,
    detect,
    evaluate,
    evasion,
    explain,
    export,
    forget,
    graph,
    ingest,
    investigate,
    models,
    organizations,
    query,
    replay,
    report,
    review,
    safeguards,
    serve,
    signals,
    simulate,
    takedown,
    workspace,
)
from ringwatch.cli.session import Shared
from ringwatch.errors import RingwatchError, UsageError

app = typer.Typer(
    name="ringwatch",
    help="Finds coordinated account networks in usage data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for room in (
    workspace, ingest, detect, models, explain, bench, clusters, organizations, query, console, investigate, review,
    takedown, serve, export, evaluate, replay, evasion, safeguards, signals, report, graph, forget, simulate, demo,
):  # fmt: skip
    room.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(metadata.version("ringwatch"))
        raise typer.Exit


@app.callback()
def _shared(
    ctx: typer.Context,
    where: Annotated[
        str | None,
        typer.Option("--workspace", metavar="DIR", help="The workspace; RINGWATCH_WORKSPACE where it is not given."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    del version
    ctx.obj = Shared(where)


def main() -> None:
    """Runs the command line and exits with a code of the contract."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs the command line; the exit code."""
    try:
        code = app(arguments, prog_name="ringwatch", standalone_mode=False)
        sys.stdout.flush()
    except RingwatchError as error:
        return _fail(error, arguments)
    except typer.TyperException as error:
        hint = "See `ringwatch --help`, and --help after a command."
        said = error.format_message()
        return _fail(UsageError(said if said.endswith((".", "?")) else f"{said}.", hint=hint), arguments)
    except typer.Abort:
        return 128 + signal.SIGINT
    except (BrokenPipeError, SystemExit) as ended:
        # Whoever read us has gone, of which typer and rich make an exit of their own. Nothing can be said to them,
        # and Python must not try at exit.
        if not isinstance(ended.__context__ if isinstance(ended, SystemExit) else ended, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 (the last door: a fault of ours is one sentence, too)
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        hint = "This is a fault of ringwatch; --debug shows where."
        return _fail(RingwatchError(f"Something unforeseen happened ({what}).", hint=hint), arguments)
    return code if isinstance(code, int) else 0


def _fail(error: RingwatchError, arguments: list[str]) -> int:
    if "--debug" in arguments:
        traceback.print_exc()
    if "--json" in arguments:
        document = {
            "schema": "ringwatch.error/1",
            "code": error.exit_code,
            "error": error.message,
            "hint": error.hint,
            **error.document(),
        }
        print(json.dumps(document))
    print(f"ringwatch: {error.message}{f' {error.hint}' if error.hint else ''}", file=sys.stderr)
    return error.exit_code
