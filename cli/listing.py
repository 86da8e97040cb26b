"""What a run found, as a list: the options and the shape that `clusters list` and `organizations list` have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.cli.session import Session

if TYPE_CHECKING:
    import pandas as pd

OfRun = Annotated[str | None, typer.Option("--run", help="Of this run, not the newest.")]
Limit = Annotated[int, typer.Option(help="At most so many.", min=1)]
MinScore = Annotated[float, typer.Option(help="Of this score or more.", min=0, max=1)]
Suspected = Annotated[
    float, typer.Option("--min-score", help="Members of clusters of this score or more are suspected.", min=0, max=1)
]


def say_list(
    session: Session,
    what: str,
    run_id: str,
    found: pd.DataFrame,
    columns: Sequence[str],
    titles: Sequence[str],
    row: Callable[[dict[str, Any]], tuple[object, ...]],
    *,
    limit: int,
    min_score: float,
    nothing: str,
) -> None:
    """Says the first `limit` of what was `found` with a score of `min_score` or more, `nothing` where there is none.

    The JSON document has the `columns` under `what`; for people each becomes a `row` under the `titles`.
    """
    from ringwatch.export import records

    chosen = found[found["score"] >= min_score]
    shown = records(chosen.head(limit)[list(columns)])
    document = {"run_id": run_id, what: shown, "total": len(chosen)}

    def show() -> None:
        if not shown:
            session.line(nothing)
            return
        numbers = ("parts", "accounts", "score", "bits", "abuse")
        session.table(titles, [row(one) for one in shown], right=[name for name in titles if name in numbers])
        if len(chosen) > len(shown):
            session.line(f"{len(chosen) - len(shown):,} more: --limit N.")

    session.say(what, document, show)


def days_of(row: dict[str, Any]) -> list[str]:
    """The days of the first and the last event, as two cells."""
    return [(row[name] or "")[:10] for name in ("first_seen", "last_seen")]
