"""A cluster as a page of a terminal: two numbers, the reasons for and against as bars, then who, what and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ringwatch.export import NOT_MALICIOUS, abuse_in_words, came_from, records, shared_things
from ringwatch.graphs.clusters import ABUSE_LAYERS

if TYPE_CHECKING:
    import pandas as pd

    from ringwatch.cli.session import Session
    from ringwatch.graphs import Cluster

_BAR = 18
_MEMBERS = 10
_ENTITIES = 8
_SPARKS = "▁▂▃▄▅▆▇█"
_LONGEST_TIMELINE = 60


def show_cluster(session: Session, cluster: Cluster) -> None:
    """Prints the page."""
    session.line(f"Cluster {cluster.cluster_id}", style="bold")
    facts(
        session,
        ("score", f"{cluster.score:.3f}"),
        ("coordination", f"{cluster.coordination:.3f} ({cluster.bits:+.1f} bits a pair)"),
        ("abuse", abuse_in_words(cluster.abuse)),
        ("accounts", str(cluster.size)),
        ("seen", seen_in_words(cluster.first_seen, cluster.last_seen)),
        ("status", cluster.status),
        ("lineage", came_from(cluster)),
        ("organization", cluster.organization_id or "none is known"),
        ("run", cluster.run_id),
    )
    show_reasons(session, [*records(cluster.evidence), *records(cluster.counter_evidence)], "One operation?")
    show_days(session, cluster.timeline)
    _members(session, cluster)
    _entities(session, cluster)
    session.line()
    session.line(NOT_MALICIOUS, style="dim")
    session.line(f"Digest {cluster.digest}.", style="dim")


def seen_in_words(*moments: pd.Timestamp | None) -> str:
    """From when to when, as far as it is known."""
    return " to ".join(str(moment.date()) for moment in moments if moment is not None) or "at no known time"


def facts(session: Session, *rows: tuple[str, str]) -> None:
    """Prints names and values."""
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(Text(name, style="dim"), Text(value))
    session.console.print(grid)


def show_reasons(session: Session, reasons: list[dict[str, Any]], question: str) -> None:
    """Prints the reasons that answer the question, then those that speak for abuse or against it."""
    about: dict[str, list[dict[str, Any]]] = {question: [], "Abuse?": []}
    for reason in reasons:
        about["Abuse?" if reason["layer"] in ABUSE_LAYERS else question].append(reason)
    for asked, found in about.items():
        _reasons(session, asked, found)


def _reasons(session: Session, question: str, reasons: list[dict[str, Any]]) -> None:
    """The reasons for, then those against, as bars of one scale."""
    if not reasons:
        return
    session.line()
    session.line(question, style="bold")
    widest = max(abs(row["bits"]) for row in reasons)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True, min_width=_BAR)
    grid.add_column(no_wrap=True)
    grid.add_column()
    for row in sorted(reasons, key=lambda row: -row["bits"]):
        colour = "red" if row["bits"] > 0 else "green"
        bar = Text("█" * max(1, round(_BAR * abs(row["bits"]) / max(widest, 1e-9))), style=colour)
        layer = Text(row["layer"].replace("_", " "), style="cyan")
        grid.add_row(Text(f"{row['bits']:+.1f}"), bar, layer, Text(row["text"]))
    session.console.print(grid)


def show_days(session: Session, timeline: pd.DataFrame) -> None:
    """Prints events by day as a row of marks."""
    if timeline.empty:
        return
    daily = timeline.set_index("day")["events"].asfreq("D", fill_value=0)
    step = -(-len(daily) // _LONGEST_TIMELINE)
    counts = daily.groupby([number // step for number in range(len(daily))]).sum()
    top = max(int(counts.max()), 1)
    marks = "".join(_SPARKS[min(len(_SPARKS) - 1, count * len(_SPARKS) // (top + 1))] for count in counts)
    session.line()
    session.line("Events", style="bold")
    each = "a day" if step == 1 else f"{step} days"
    session.line(f"{daily.index[0].date()} {marks} {daily.index[-1].date()}")
    session.line(f"Each mark is {each}, the highest {top:,} events.", style="dim")


def _members(session: Session, cluster: Cluster) -> None:
    session.line()
    session.line("Members", style="bold")
    shown = cluster.members.head(_MEMBERS)
    session.table(
        ("account", "membership", "score"),
        [
            (row.account_id, f"{row.membership:.2f}", f"{row.account_score:.3f}")
            for row in shown.itertuples(index=False)
        ],
        right=("membership", "score"),
    )
    if cluster.size > len(shown):
        session.line(f"{cluster.size - len(shown):,} more: `ringwatch clusters members`, or --json.", style="dim")


def _entities(session: Session, cluster: Cluster) -> None:
    if cluster.entities.empty:
        return
    held = shared_things(cluster).head(_ENTITIES)
    session.line()
    session.line("What they share most", style="bold")
    session.table(
        ("what", "id", "of them"),
        [(row["type"].replace("_", " "), row["token"], row["accounts"]) for row in records(held)],
        right=("of them",),
    )
