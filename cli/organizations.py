"""`organizations`: which clusters of the newest run one party stands behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.cells import number
from ringwatch.cli.listing import Limit, MinScore, OfRun, days_of, say_list
from ringwatch.cli.session import Session, command

if TYPE_CHECKING:
    from ringwatch.graphs import Organization

_LISTED = (
    "organization_id", "clusters", "accounts", "outsiders", "score", "bits", "coordination", "abuse", "layers",
    "first_seen", "last_seen",
)  # fmt: skip
_OUTSIDERS = 10


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    organizations = typer.Typer(no_args_is_help=True, help="Clusters that one party stands behind.")
    app.add_typer(organizations, name="organizations")
    command(organizations, "list")(_list)
    command(organizations, "show")(_show)


def _list(session: Session, limit: Limit = 20, min_score: MinScore = 0.0, run: OfRun = None) -> None:
    """List organizations, highest score first."""
    from ringwatch.pipeline import load_run

    found = load_run(session.workspace(), run)
    say_list(
        session, "organizations", found.record.run_id, found.organizations, _LISTED,
        ("organization", "parts", "accounts", "score", "bits", "abuse", "first seen", "last seen", "why"), _row,
        limit=limit, min_score=min_score,
        nothing="No organization." if not min_score else f"None has a score of {min_score} or more.",
    )  # fmt: skip


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    why = ", ".join(name.replace("_", " ") for name in row["layers"][:4])
    return (
        row["organization_id"],
        len(row["clusters"]),
        row["accounts"],
        f"{row['score']:.3f}",
        f"{row['bits']:.1f}",
        number(row["abuse"], 2),
        *days_of(row),
        why,
    )


def _show(
    session: Session,
    organization: Annotated[str, typer.Argument(help="Id of the organization.")],
    run: OfRun = None,
) -> None:
    """Show an organization: its parts and the harm of each, what ties them, who else may be of it, days."""
    from ringwatch.export import records
    from ringwatch.pipeline import load_organization, load_run

    workspace = session.workspace()
    found = load_organization(workspace, organization, load_run(workspace, run))
    document = {
        "organization_id": found.organization_id,
        "run_id": found.run_id,
        "clusters": found.clusters,
        "accounts": found.accounts,
        "score": found.score,
        "bits": found.bits,
        "coordination": found.coordination,
        "abuse": found.abuse,
        "layers": found.layers,
        "first_seen": found.first_seen,
        "last_seen": found.last_seen,
        "parts": records(found.parts),
        "ties": records(found.ties),
        "evidence": records(found.evidence),
        "counter_evidence": records(found.counter_evidence),
        "members": records(found.members),
        "outsiders": [{**row, "cluster_id": None} for row in records(found.outsiders)],
        "timeline": records(found.timeline),
    }
    session.say("organization", document, lambda: _page(session, found))


def _page(session: Session, found: Organization) -> None:
    from ringwatch.cli.page import facts, seen_in_words, show_days, show_reasons
    from ringwatch.export import abuse_in_words, records

    session.line(f"Organization {found.organization_id}", style="bold")
    facts(
        session,
        ("score", f"{found.score:.3f}"),
        ("one organization", f"{found.coordination:.3f} ({found.bits:+.1f} bits a tie)"),
        ("abuse", abuse_in_words(found.abuse)),
        ("accounts", f"{found.accounts} in {len(found.clusters)} clusters, {len(found.outsiders)} in none"),
        ("seen", seen_in_words(found.first_seen, found.last_seen)),
        ("run", found.run_id),
    )
    session.line()
    session.line("Parts", style="bold")
    session.table(
        ("cluster", "accounts", "score", "abuse", "harmful", "refused", "of events", "best tie", "organization id"),
        [
            (
                row["cluster_id"], row["size"], f"{row['score']:.3f}", number(row["abuse"], 2), row["harmful"],
                row["refused"], row["judged"], f"{row['bits']:+.1f}", row["customer"] or "–",
            )
            for row in records(found.parts)
        ],
        right=("accounts", "score", "abuse", "harmful", "refused", "of events", "best tie"),
    )  # fmt: skip
    show_reasons(session, [*records(found.evidence), *records(found.counter_evidence)], "One organization?")
    show_days(session, found.timeline)
    if len(found.outsiders):
        session.line()
        session.line("In no cluster", style="bold")
        session.table(
            ("account", "score", "has", "id"),
            [
                (row["account_id"], f"{row['account_score']:.3f}", row["layer"].replace("_", " "), row["entity"])
                for row in records(found.outsiders.head(_OUTSIDERS))
            ],
            right=("score",),
        )
        if len(found.outsiders) > _OUTSIDERS:
            session.line(f"{len(found.outsiders) - _OUTSIDERS:,} more: --json.")
    session.line()
    session.line("A company is one organization too: see which part does harm, and what speaks against.", style="dim")
