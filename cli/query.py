"""`query`: the investigators' library."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Annotated

import typer

from ringwatch.cli.session import Session, Wait, command
from ringwatch.errors import UsageError


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    query = typer.Typer(no_args_is_help=True, help="The investigators' library, in Cypher.")
    app.add_typer(query, name="query")
    command(query, "list")(_list)
    command(query, "show")(_show)
    command(query, "run")(_run)


def _list(session: Session) -> None:
    """List the questions."""
    from ringwatch.queries import library

    queries = list(library().values())
    document = {"queries": [query.document() for query in queries]}
    rows = [
        (
            query.group,
            query.name,
            ", ".join(p.name if p.required else f"[{p.name}]" for p in query.parameters),
            query.question,
        )
        for query in queries
    ]
    session.say("queries", document, lambda: session.table(("group", "name", "parameters", "question"), rows))


def _show(session: Session, name: Annotated[str, typer.Argument(help="Name of the question.")]) -> None:
    """Show a question: when to ask it, what it takes and returns, its Cypher."""
    from ringwatch.queries import find

    query = find(name)

    def show() -> None:
        session.line(query.question, style="bold")
        session.line(query.when)
        if query.parameters:
            session.line()
            session.table(
                ("parameter", "type", "default", "what"),
                [(p.name, p.type, "" if p.required else p.default, p.doc) for p in query.parameters],
            )
        session.line()
        session.line(f"Returns {', '.join(query.columns)}.")
        session.line()
        session.line(query.cypher)

    session.say("query", query.document(), show)


def _run(
    session: Session,
    name: Annotated[str, typer.Argument(help="Name of the question.")],
    param: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; may be given several times.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many rows.", min=1)] = 1000,
    wait: Wait = 10.0,
) -> None:
    """Ask a question of the graph."""
    from ringwatch.pipeline import open_store
    from ringwatch.queries import run

    given: dict[str, object] = {}
    for pair in param or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--param {pair} is not of the form NAME=VALUE.", hint="Write it like account=a17.")
        given[key] = value
    with closing(open_store(session.workspace(), wait=wait)) as store:
        result = run(store, name, given, limit=limit)
    document = {"name": name, "columns": result.columns, "rows": result.rows, "truncated": result.truncated}

    def show() -> None:
        session.table(result.columns, [[_cell(value) for value in row] for row in result.rows])
        more = " and more: --limit N" if result.truncated else ""
        session.line(f"{len(result.rows):,} rows{more}.", style="dim")

    session.say("query", document, show)


def _cell(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return str(value)
