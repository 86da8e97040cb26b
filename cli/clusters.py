"""`clusters` and `scores`: what the newest run found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.cells import number
from ringwatch.cli.listing import Limit, MinScore, OfRun, days_of, say_list
from ringwatch.cli.session import Session, command

if TYPE_CHECKING:
    import pandas as pd

_LISTED = (
    "cluster_id", "size", "score", "bits", "coordination", "abuse", "layers", "first_seen", "last_seen", "status",
)  # fmt: skip
TITLES = ("cluster", "accounts", "score", "bits", "abuse", "first seen", "last seen", "status", "why")


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    clusters = typer.Typer(no_args_is_help=True, help="What the newest run found.")
    app.add_typer(clusters, name="clusters")
    command(clusters, "list")(_list)
    command(clusters, "show")(_show)
    command(clusters, "members")(_members)
    command(clusters, "diff")(_diff)
    command(app, "scores")(_scores)


def _list(session: Session, limit: Limit = 20, min_score: MinScore = 0.0, run: OfRun = None) -> None:
    """List clusters, highest score first."""
    from ringwatch.pipeline import load_run

    found = load_run(session.workspace(), run)
    say_list(
        session, "clusters", found.record.run_id, found.clusters, _LISTED,
        TITLES, cluster_row, limit=limit, min_score=min_score,
        nothing="No cluster." if not min_score else f"No cluster has a score of {min_score} or more.",
    )  # fmt: skip


def cluster_row(row: dict[str, Any]) -> tuple[object, ...]:
    """A cluster under the `TITLES` of the list."""
    layers = [name.replace("_", " ") for name in row["layers"]]
    why = ", ".join(layers[:4]) + (f" +{len(layers) - 4}" if len(layers) > 4 else "")
    return (
        row["cluster_id"],
        row["size"],
        f"{row['score']:.3f}",
        f"{row['bits']:.1f}",
        number(row["abuse"], 2),
        *days_of(row),
        row["status"],
        why,
    )


def _show(
    session: Session, cluster: Annotated[str, typer.Argument(help="Id of the cluster.")], run: OfRun = None
) -> None:
    """Show a cluster: the evidence for and against, members, entities, days."""
    from ringwatch.cli.page import show_cluster
    from ringwatch.export import records
    from ringwatch.pipeline import load_cluster, load_run

    workspace = session.workspace()
    found = load_cluster(workspace, cluster, load_run(workspace, run))
    document = {
        "cluster_id": found.cluster_id,
        "digest": found.digest,
        "size": found.size,
        "score": found.score,
        "bits": found.bits,
        "coordination": found.coordination,
        "abuse": found.abuse,
        "layers": found.layers,
        "first_seen": found.first_seen,
        "last_seen": found.last_seen,
        "status": found.status,
        "lineage": records(found.lineage),
        "organization_id": found.organization_id,
        "evidence": records(found.evidence),
        "counter_evidence": records(found.counter_evidence),
        "members": records(found.members),
        "timeline": records(found.timeline),
        "entities": records(found.entities),
        "edges": records(found.edges),
    }
    session.say("cluster", document, lambda: show_cluster(session, found))


def _members(
    session: Session,
    output: Annotated[Path, typer.Option(help="A file that ends in .csv, .parquet or .jsonl.")],
    run: OfRun = None,
) -> None:
    """Write every cluster of three or more with its members."""
    from ringwatch.pipeline import load_run

    found = load_run(session.workspace(), run)
    columns = ["cluster_id", "account_id", "cluster_score", "membership", "account_score"]
    _write(session, "members", found.members[columns], output)


def _diff(
    session: Session,
    before: Annotated[str | None, typer.Argument(help="The earlier run; the one that AFTER goes on from.")] = None,
    after: Annotated[str | None, typer.Argument(help="The later run; the newest.")] = None,
) -> None:
    """Say what became of the clusters of one run in another."""
    from ringwatch.pipeline import compare_runs

    difference = compare_runs(session.workspace(), before, after)
    document = difference.document()

    def show() -> None:
        session.line(f"From run {difference.before} to run {difference.after}:", style="bold")
        told = [line for kind in _KINDS for line in _changes(kind, document[kind])]
        for line in told:
            session.line(line)
        if not told:
            session.line("No cluster was born, changed or ended.")
        session.line(f"{document['known']:,} clusters are as they were; {len(document['moved']):,} accounts moved.")
        rows = [
            (row["account_id"], row["from_cluster_id"] or "–", row["to_cluster_id"] or "–")
            for row in document["moved"][:_MOVED]
        ]
        if rows:
            session.line()
            session.table(("account", "from", "to"), rows)
        if len(document["moved"]) > len(rows):
            session.line(f"{len(document['moved']) - len(rows):,} more: --json.")

    session.say("diff", document, show)


_KINDS = ("returned", "born", "grew", "shrank", "merged", "split", "ended")
_MOVED = 20


def _changes(kind: str, rows: list[dict[str, Any]]) -> list[str]:
    """A line for each event of a kind."""
    said = []
    for row in rows:
        name = row["cluster_id"]
        if kind == "merged":
            what = "from " + ", ".join(f"{part['cluster_id']} ({part['shared']})" for part in row["from"])
        elif kind == "split":
            what = "into " + ", ".join(f"{part['cluster_id']} ({part['shared']})" for part in row["into"])
        elif kind in ("born", "ended"):
            what = f"{row['size']} accounts"
        else:
            what = f"{row['before']} → {row['size']} accounts ({row['joined']} joined, {row['left']} left)"
            if row["from_cluster_id"] != name:
                what += f", from {row['from_cluster_id']}"
        said.append(f"  {kind:<9} {name}  {what}")
    return said


def _scores(
    session: Session,
    output: Annotated[Path, typer.Option(help="A file that ends in .csv, .parquet or .jsonl.")],
    run: OfRun = None,
    intervals: Annotated[bool, typer.Option("--intervals", help="Also low and high, where a model scores.")] = False,
) -> None:
    """Write a score for every account: higher is more likely abusive."""
    from ringwatch.pipeline import load_scores, score_intervals

    found = load_scores(session.workspace(), run)
    _write(session, "scores", score_intervals(session.workspace(), found, run) if intervals else found, output)


def _write(session: Session, what: str, frame: pd.DataFrame, output: Path) -> None:
    from ringwatch.export import write_table

    write_table(frame, output)
    document = {"rows": len(frame), "output": str(output)}
    session.say(what, document, lambda: session.line(f"{len(frame):,} rows in {output}."))
