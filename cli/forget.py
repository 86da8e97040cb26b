"""`forget`: erasing an account, or what is too old."""

from __future__ import annotations

from typing import Annotated

import typer

from ringwatch.cli.session import Session, Wait, command


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "forget")(_forget)


def _forget(
    session: Session,
    reason: Annotated[str, typer.Option(help="Goes to the audit log.")],
    accounts: Annotated[list[str] | None, typer.Argument(help="Ids of accounts.")] = None,
    older_than: Annotated[str | None, typer.Option(help="Instead: what is older, like 180d or 26w.")] = None,
    wait: Wait = 60.0,
) -> None:
    """Erase an account's events and originals, or all that is too old; the audit log keeps that it was done."""
    from ringwatch.clock import now, parse_span
    from ringwatch.pipeline import forget
    from ringwatch.review import publish_verdicts

    workspace = session.workspace()
    publish_verdicts(workspace, wait=wait)
    before = now() - parse_span(older_than) if older_than else None
    done = forget(workspace, accounts or (), before=before, reason=reason, wait=wait)
    document = {
        "accounts": len(done.accounts), "rows": done.rows, "originals": done.originals,
        "before": before, "detect_again": True,
    }  # fmt: skip

    def show() -> None:
        rows = ", ".join(f"{count:,} {name}" for name, count in done.rows.items()) or "no rows"
        session.line(f"Erased {rows} and {done.originals:,} originals; {len(done.accounts):,} accounts are gone.")
        session.line("Run `ringwatch detect` again. What was exported before is not reached by this.")

    session.say("forget", document, show)
