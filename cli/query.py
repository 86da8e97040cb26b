"""`query`: the investigators' library."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ringwatch.cli import answers
from ringwatch.cli.session import Session, Wait, command
from ringwatch.errors import UsageError

if TYPE_CHECKING:
    from ringwatch.queries import Query
    from ringwatch.workspace import Workspace

Name = Annotated[str, typer.Argument(help="Name of the question.")]
Param = Annotated[list[str] | None, typer.Option(help="NAME=VALUE; may be given several times.")]
_LISTED = ("group", "name", "parameters", "question")


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    query = typer.Typer(no_args_is_help=True, help="The investigators' library, in Cypher.")
    app.add_typer(query, name="query")
    command(query, "list")(_list)
    command(query, "show")(_show)
    command(query, "run")(_run)
    command(query, "explain")(_explain)


def _list(session: Session, group: Annotated[str | None, typer.Option(help="Of this group only.")] = None) -> None:
    """List the questions."""
    from ringwatch.queries import GROUPS, library

    if group is not None and group not in GROUPS:
        raise UsageError(f"There is no group '{group}'.", hint=f"There are {', '.join(GROUPS)}.")
    queries = [query for query in library().values() if group in (None, query.group)]
    rows = [
        [
            query.group,
            query.name,
            ", ".join(p.name if p.required else f"[{p.name}]" for p in query.parameters),
            query.question,
        ]
        for query in queries
    ]
    document = {
        "queries": [query.document() for query in queries],
        "columns": list(_LISTED),
        "rows": rows,
        "truncated": False,
    }
    session.say("queries", document, lambda: session.table(_LISTED, rows))


def _show(session: Session, name: Name) -> None:
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
        session.line(f"Group {query.group}; {query.maturity}.")
        given = "".join(f" --param {key}={value}" for key, value in query.example.items())
        session.line(f"Example: ringwatch query run {query.name}{given}")
        session.line()
        session.line(query.cypher)

    # What every answer about the library has; a question that was not asked has no rows.
    session.say("query", {**query.document(), "rows": [], "truncated": False}, show)


def _run(
    session: Session,
    name: Name,
    param: Param = None,
    limit: Annotated[int, typer.Option(help="At most so many rows.", min=1)] = 1000,
    timeout: Annotated[float, typer.Option(help="Seconds that it may take.", min=0.1, max=3600)] = 30.0,
    form: Annotated[Literal["table", "csv", "json"], typer.Option("--format", help="What is printed.")] = "table",
    output: Annotated[
        Path | None, typer.Option(help="A file that ends in .csv, .parquet, .jsonl or .json, instead of printing.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Tokens whole, not cut short.")] = False,
    wait: Wait = 10.0,
) -> None:
    """Ask a question of the graph."""
    from ringwatch.pipeline import open_store
    from ringwatch.queries import find, run
    from ringwatch.review import anonymity_of

    workspace = session.workspace()
    query, given = find(name), answers.pairs(param)
    query.bind(given)  # a wrong parameter is said before anything is opened
    given = {key: _whole(workspace, query, key, value) for key, value in given.items()}
    rule = anonymity_of(workspace)
    with closing(open_store(workspace, wait=wait)) as store:
        answer = run(store, name, given, limit=limit, timeout=timeout, anonymity=rule)
    document: dict[str, Any] = {"name": name, **answers.document(answer)}
    if output is not None:
        answers.write(answer, document, output)
        document["output"] = str(output)
        wrote = f"{answers.said(answer, rule.k)[:-1]}, in {output}."
        session.say("query", document, lambda: session.line(wrote))
    elif form == "csv" and not session.as_json:
        print(answers.as_csv(answer), end="")
        if answer.truncated or answer.withheld:
            print(answers.said(answer, rule.k), file=sys.stderr)
    else:
        session.as_json |= form == "json"
        session.say("query", document, lambda: answers.show(session, answer, rule.k, full=full))


def _explain(session: Session, name: Name, param: Param = None, wait: Wait = 10.0) -> None:
    """Show how the store would run a question; nothing is run. Parameters that are not given are the example's."""
    from ringwatch.pipeline import open_store
    from ringwatch.queries import Answer, find

    query = find(name)
    bound = query.bind({**query.example, **answers.pairs(param)})
    with closing(open_store(session.workspace(), wait=wait)) as store:
        lines = store.plan(query.cypher, bound)
    answer = Answer(["step", "operator"], [[number, line] for number, line in enumerate(lines, start=1)])

    def show() -> None:
        session.line("\n".join(f"${key} = {value}" for key, value in bound.items()), style="dim")
        session.line(query.cypher)
        session.line()
        session.line("\n".join(lines))

    document = {"name": name, "parameters": bound, "cypher": query.cypher, **answers.document(answer)}
    session.say("query", document, show)


def _whole(workspace: Workspace, query: Query, name: str, value: str) -> str:
    """A token that was given as a table shows it, in full."""
    from ringwatch.pipeline import whole_token

    kinds = {parameter.name: parameter.type for parameter in query.parameters}
    return whole_token(workspace, value) if kinds.get(name) == "string" else value
