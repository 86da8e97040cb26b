"""How rows of the graph are asked for and shown: by `query run`, in the console, on the page of an account."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringwatch.cli.session import Session
from ringwatch.config import TOKEN
from ringwatch.errors import UsageError

if TYPE_CHECKING:
    from ringwatch.queries import Answer, Worker
    from ringwatch.workspace import Workspace

SHOWN = 10
"""Hex digits of a token that a table shows: enough to tell a million apart, and to name one."""


def worker(workspace: Workspace, *, wait: float = 10.0) -> Worker:
    """Asks the workspace's graph as it is committed at each statement."""
    from ringwatch.pipeline import open_store
    from ringwatch.queries import Worker

    return Worker(partial(open_store, workspace, wait=wait))


def pairs(given: Sequence[str] | None, option: str = "--param") -> dict[str, str]:
    """`NAME=VALUE`, several times.

    Raises:
        UsageError: one is not of this form.
    """
    found: dict[str, str] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {pair} is not of the form NAME=VALUE.", hint="Write it like account=a17.")
        found[name] = value
    return found


def value_of(text: str) -> Any:
    """A parameter of a statement that somebody wrote: a number, true, false or a list as JSON has them, else a text;
    one that looks like a time is a time."""
    if re.match(r"\d{4}-\d\d-\d\d(\Z|T)", text):
        from ringwatch.clock import parse_time

        return parse_time(text)
    try:
        return json.loads(text)
    except ValueError:
        return text


def document(answer: Answer) -> dict[str, Any]:
    """The keys that every answer has in JSON."""
    return {
        "columns": answer.columns,
        "rows": answer.rows,
        "truncated": answer.truncated,
        "withheld": answer.withheld,
    }


def show(session: Session, answer: Answer, k: int, *, full: bool = False) -> None:
    """Prints rows as a table, and says how many there are, and whether there are more. `full`: tokens are not cut."""
    numbers = [
        name for at, name in enumerate(answer.columns) if any(isinstance(row[at], int | float) for row in answer.rows)
    ]
    if answer.rows:
        session.table(
            answer.columns, [[cell(value, full=full) for value in row] for row in answer.rows], right=numbers
        )
    session.line(said(answer, k), style="dim")


def write(answer: Answer, told: dict[str, Any], output: Path) -> None:
    """Writes rows to a file; as `.json` the document that `told` is.

    Raises:
        UsageError: the name ends in none of the four formats, or cannot be written.
    """
    import pandas as pd

    from ringwatch.cli.session import document_text
    from ringwatch.export import write_table
    from ringwatch.workspace import write_atomic, writes_to

    if output.suffix != ".json":
        write_table(pd.DataFrame(answer.rows, columns=answer.columns), output)
        return
    with writes_to(output):
        write_atomic(output, document_text("query", told).encode() + b"\n")


def as_csv(answer: Answer) -> str:
    """Rows as CSV, with a header; lists are joined by |, times are ISO-8601, texts as in an exported table: none that
    a spreadsheet would run."""
    from ringwatch.export import safe_cell

    def plain(value: object) -> object:
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, bool):
            return str(value).lower()
        return "|".join(str(plain(item)) for item in value) if isinstance(value, list) else value

    def safe(value: object) -> object:
        return safe_cell(value) if isinstance(value, str) else value

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows([safe(plain(value)) for value in row] for row in answer.rows)
    return out.getvalue()


def said(answer: Answer, k: int) -> str:
    """How many rows there are, in a sentence."""
    rows = f"{len(answer.rows):,} {'row' if len(answer.rows) == 1 else 'rows'}"
    more = " and more: --limit N" if answer.truncated else ""
    held = f"; {answer.withheld:,} withheld, made from fewer than {k} accounts" if answer.withheld else ""
    return f"{rows}{more}{held}."


def cell(value: object, *, full: bool = False) -> str | None:
    """A value in a table; a token is cut short, unless it is to be `full`."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(cell(item, full=full) or "null" for item in value)
    if isinstance(value, dict):
        shown = {key: cell(item, full=full) for key, item in value.items() if item is not None}
        return "{" + ", ".join(f"{key}: {item}" for key, item in shown.items()) + "}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
    return str(value) if full else short(str(value))


def short(text: str) -> str:
    """A token with the first of its digits; any other text as it is."""
    found = TOKEN.fullmatch(text)
    return f"{found[1]}{found[2][:SHOWN]}…" if found else text
