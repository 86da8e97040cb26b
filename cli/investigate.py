"""`investigate`: one account on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.cells import number
from ringwatch.cli.answers import cell, short
from ringwatch.cli.session import Session, Wait, command

if TYPE_CHECKING:
    import pandas as pd

    from ringwatch.pipeline import Dossier

_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "investigate")(_investigate)


def _investigate(
    session: Session, account: Annotated[str, typer.Argument(help="Id of the account.")], wait: Wait = 10.0
) -> None:
    """Show an account: who it is, what it shares with whom, its cluster, its days, its harm, what to ask next."""
    from ringwatch.export import records
    from ringwatch.pipeline import load_account

    found = load_account(session.workspace(), account, wait=wait)
    frames = ("ties", "shared", "relations", "families", "chains", "timeline", "harm")
    document = {
        "account_id": found.account_id,
        "run_id": found.run_id,
        **found.facts,
        "cluster": found.cluster,
        **{name: records(getattr(found, name)) for name in frames},
        "next": found.next,
    }
    session.say("account", document, lambda: _page(session, found))


def _page(session: Session, found: Dossier) -> None:
    from ringwatch.cli.page import facts, show_days

    known = found.facts
    session.line(f"Account {found.account_id}", style="bold")
    facts(
        session,
        ("score", f"{number(known['score'])} (higher is more likely abusive)"),
        ("created", _moment(known["created_at"])),
        ("status", known["status"] or "unknown"),
        ("label", known["label"] or "nobody has judged it"),
        ("customer", known["org_id"] or "–"),
        ("country, plan", f"{known['country'] or '–'}, {known['plan'] or '–'}"),
        ("cluster", _cluster(found)),
        ("run", found.run_id),
    )
    _table(session, "Tied to", found.ties, ("other_id", "bits", "layers", "status", "label", "score", "cluster_id"))
    _table(session, "What it uses, and who else does", found.shared,
           ("entity", "bits", "accounts", "known_kind", "others", "uses", "last_seen"))  # fmt: skip
    if len(found.shared):
        session.line("Bits: what sharing it can say at most, log2 of one account in how many has it.", style="dim")
    _table(session, "Prompts", found.families, ("family", "prompts", "accounts", "harm_rate", "last_seen"))
    _table(session, "Tool chains", found.chains, ("chain", "tools", "runs", "accounts", "last_seen"))
    _table(session, "Relations", found.relations, ("kind", "direction", "other_id", "count", "amount"))
    show_days(session, found.timeline)
    session.line()
    session.line("Harm", style="bold")
    session.line(_harm(found))
    if len(found.harm):
        _rows(session, found.harm, ("category", "events", "refused", "highest", "first_seen", "last_seen"))
    session.line()
    session.line("Next", style="bold")
    for one in found.next:
        command_of, _, token = one.rpartition("=")
        session.line(f"  {command_of}={short(token)}" if command_of else f"  {one}")
    session.line("Sharing is not guilt: see what is known of an entity, and how many others have it.", style="dim")


def _cluster(found: Dossier) -> str:
    cluster = found.cluster
    if cluster is None:
        return "none"
    abuse = "unknown" if cluster["abuse"] is None else f"{cluster['abuse']:.2f}"
    return (
        f"{cluster['cluster_id']} ({cluster['size']} accounts, score {cluster['score']:.3f}, abuse {abuse}); "
        f"membership {cluster['membership']:.2f}"
    )


def _harm(found: Dossier) -> str:
    days = found.timeline
    if not len(days):
        return "No events."
    harmful, refused = int(days["harmful"].sum()), int(days["refused"].sum())
    return f"{harmful:,} of {int(days['events'].sum()):,} events were harmful or refused ({refused:,} refused)."


def _moment(value: Any) -> str:
    return cell(value) or "at no known time"


def _table(session: Session, title: str, frame: pd.DataFrame, columns: tuple[str, ...]) -> None:
    if not len(frame):
        return
    session.line()
    session.line(title, style="bold")
    _rows(session, frame, columns)
    if len(frame) > _SHOWN:
        session.line(f"{len(frame) - _SHOWN:,} more: --json.", style="dim")


def _rows(session: Session, frame: pd.DataFrame, columns: tuple[str, ...]) -> None:
    from ringwatch.export import records

    shown = records(frame.head(_SHOWN)[list(columns)])
    rows = [[_cell(name, row[name]) for name in columns] for row in shown]
    numbers = [name for name in columns if any(isinstance(row[name], int | float) for row in shown)]
    session.table([name.replace("_", " ") for name in columns], rows,
                  right=[name.replace("_", " ") for name in numbers])  # fmt: skip


def _cell(name: str, value: Any) -> str | None:
    if name == "layers":
        return ", ".join(layer.replace("_", " ") for layer in value)
    return str(value)[:10] if value and name.endswith("_seen") else cell(value)
