"""`organizations`: which clusters of the newest run one party stands behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.cli.session import Session, command

if TYPE_CHECKING:
    from ringwatch.graphs.syndicates import Organization

_LISTED = (
    "organization_id", "clusters", "accounts", "outsiders", "score", "bits", "coordination", "abuse", "layers",
    "first_seen", "last_seen",
)  # fmt: skip
_OUTSIDERS = 10
_Run = Annotated[str | None, typer.Option("--run", help="Of this run, not the newest.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    organizations = typer.Typer(no_args_is_help=True, help="Clusters that one party stands behind.")
    app.add_typer(organizations, name="organizations")
    command(organizations, "list")(_list)
    command(organizations, "show")(_show)


def _list(
    session: Session,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    min_score: Annotated[float, typer.Option(help="Of this score or more.", min=0, max=1)] = 0.0,
    run: _Run = None,
) -> None:
    """List organizations, highest score first."""
    from ringwatch.export import records
    from ringwatch.pipeline import load_run

    found = load_run(session.workspace(), run)
    chosen = found.organizations[found.organizations["score"] >= min_score]
    shown = records(chosen.head(limit)[list(_LISTED)])
    document = {"run_id": found.record.run_id, "organizations": shown, "total": len(chosen)}

    def show() -> None:
        if not shown:
            session.line("No organization." if not min_score else f"None has a score of {min_score} or more.")
            return
        session.table(
            ("organization", "parts", "accounts", "score", "bits", "abuse", "first seen", "last seen", "why"),
            [_row(row) for row in shown],
            right=("parts", "accounts", "score", "bits", "abuse"),
        )
        if len(chosen) > len(shown):
            session.line(f"{len(chosen) - len(shown):,} more: --limit N.")

    session.say("organizations", document, show)


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    days = [(row[name] or "")[:10] for name in ("first_seen", "last_seen")]
    why = ", ".join(name.replace("_", " ") for name in row["layers"][:4])
    return (
        row["organization_id"],
        len(row["clusters"]),
        row["accounts"],
        f"{row['score']:.3f}",
        f"{row['bits']:.1f}",
        _share(row["abuse"]),
        *days,
        why,
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _show(
    session: Session,
    organization: Annotated[str, typer.Argument(help="Id of the organization.")],
    run: _Run = None,
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
    from ringwatch.cli.page import facts, show_days, show_reasons
    from ringwatch.export import records

    session.line(f"Organization {found.organization_id}", style="bold")
    abuse = "unknown: the data says nothing of harm" if found.abuse is None else f"{found.abuse:.2f}"
    days = " to ".join(str(moment.date()) for moment in (found.first_seen, found.last_seen) if moment is not None)
    facts(
        session,
        ("score", f"{found.score:.3f}"),
        ("one organization", f"{found.coordination:.3f} ({found.bits:+.1f} bits a tie)"),
        ("abuse", abuse),
        ("accounts", f"{found.accounts} in {len(found.clusters)} clusters, {len(found.outsiders)} in none"),
        ("seen", days or "at no known time"),
        ("run", found.run_id),
    )
    session.line()
    session.line("Parts", style="bold")
    session.table(
        ("cluster", "accounts", "score", "abuse", "harmful", "refused", "of events", "best tie", "organization id"),
        [
            (
                row["cluster_id"], row["size"], f"{row['score']:.3f}", _share(row["abuse"]), row["harmful"],
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
