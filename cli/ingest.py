"""`ingest` and `quarantine`: what comes in, and what was kept out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ringwatch.cli.session import Session, Wait, command


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    quarantine = typer.Typer(no_args_is_help=True, help="Rows that broke the contract.")
    app.add_typer(quarantine, name="quarantine")
    command(app, "ingest")(_ingest)
    command(quarantine, "list")(_list)
    command(quarantine, "export")(_export)


def _ingest(
    session: Session,
    drop: Annotated[list[Path], typer.Argument(help="Folders or files of the contract's tables.")],
    mode: Annotated[
        Literal["discard-row", "discard-value", "freeze"], typer.Option(help="What a violation costs.")
    ] = "discard-row",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be stored, and store nothing.")] = False,
    wait: Wait = 10.0,
) -> None:
    """Validate and store a drop."""
    from ringwatch.ingest import FrozenError, IngestReport
    from ringwatch.pipeline import ingest_drop

    def show(report: IngestReport) -> None:
        columns = ("read", "stored", "duplicates", "quarantined")
        rows = [(name, *(f"{counts[column]:,}" for column in columns)) for name, counts in report.tables.items()]
        total = ("all", *(f"{getattr(report, column):,}" for column in columns))
        session.table(("table", *columns), [*rows, total], right=columns)
        for reason, number in report.violations.items():
            session.line(f"{number:,} rows: {reason}", style="yellow")
        if report.quarantined and not report.dry_run:
            session.line("The rows are kept: `ringwatch quarantine list`.")
        what = "Nothing was stored, as asked." if report.dry_run else f"Batch {report.batch_id}."
        session.line(f"{what} {report.seconds:.1f} s.")

    try:
        report = ingest_drop(session.workspace(), drop, mode=mode, dry_run=dry_run, wait=wait, watch=session.watch())
    except FrozenError as error:
        if not session.as_json:
            show(error.report)
        raise
    for warning in report.warnings:
        typer.echo(f"ringwatch: {warning}", err=True)
    session.say("ingest", report.document(), lambda: show(report))


def _list(session: Session) -> None:
    """List batches with rows in quarantine."""
    from ringwatch.ingest import list_quarantine

    workspace = session.workspace()
    with workspace.reading() as current:
        found = list_quarantine(workspace, current)
    batches = [{"batch_id": one.batch_id, "rows": one.rows, "reasons": one.reasons} for one in found]
    rows = [(one.batch_id, one.rows, ", ".join(f"{k} {v}" for k, v in one.reasons.items())) for one in found]
    session.say(
        "quarantine", {"batches": batches}, lambda: session.table(("batch", "rows", "reasons"), rows, right=("rows",))
    )


def _export(
    session: Session,
    output: Annotated[
        Path, typer.Option(help="A .jsonl file with reasons, or a folder: a drop to correct and ingest.")
    ],
    reason: Annotated[str, typer.Option(help="Goes to the audit log.")],
    batch: Annotated[str | None, typer.Option(help="Of one batch only.")] = None,
) -> None:
    """Write the rows in quarantine as they came, on record in the audit log."""
    from ringwatch.ingest import export_quarantine

    workspace = session.workspace()
    with workspace.reading() as current:
        done = export_quarantine(workspace, current, output, reason=reason, batch=batch)
    document = {"rows": done.rows, "output": str(output), "files": [str(path) for path in done.files]}
    session.say("quarantine", document, lambda: session.line(f"{done.rows} rows in {output}."))
