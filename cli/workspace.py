"""`init`, `schema apply`, `doctor`, `keys rotate`, `reveal`, `audit`: the workspace itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ringwatch.cli.session import Session, Wait, command
from ringwatch.config import make_config
from ringwatch.errors import UsageError

_Names = Annotated[list[str] | None, typer.Option(help="Declares a name; may be given several times.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    schema = typer.Typer(no_args_is_help=True, help="The store's schema.")
    keys = typer.Typer(no_args_is_help=True, help="The keys of tokens.")
    audits = typer.Typer(no_args_is_help=True, help="The audit log.")
    for group, name in ((schema, "schema"), (keys, "keys"), (audits, "audit")):
        app.add_typer(group, name=name)
    command(app, "init")(_init)
    command(app, "doctor")(_doctor)
    command(app, "reveal")(_reveal)
    command(app, "find")(_find)
    command(schema, "apply")(_schema_apply)
    command(keys, "rotate")(_keys_rotate)
    command(audits, "verify")(_audit_verify)
    command(audits, "export")(_audit_export)


def _init(
    session: Session,
    store: Annotated[str, typer.Option(help="embedded, or neo4j.")] = "embedded",
    neo4j_uri: Annotated[str | None, typer.Option(help="Like bolt://127.0.0.1:7687.")] = None,
    keys_from: Annotated[Path | None, typer.Option(help="A workspace whose tokens this one must share.")] = None,
    entity_type: _Names = None,
    relation_kind: _Names = None,
    entity_kind: _Names = None,
) -> None:
    """Make a workspace: keys, settings, an empty store."""
    from ringwatch.pipeline import create_workspace

    if neo4j_uri and store != "neo4j":
        raise UsageError("--neo4j-uri goes with --store neo4j.", hint="Give both, or neither.")
    config = make_config(
        store=store,
        neo4j_uri=neo4j_uri,
        entity_types=tuple(entity_type or ()),
        relation_kinds=tuple(relation_kind or ()),
        entity_kinds=tuple(entity_kind or ()),
    )
    workspace = create_workspace(session.root, config, keys_from=keys_from)
    document = {
        "workspace": str(workspace.root),
        "store": config.store,
        "workspace_id": workspace.current().workspace_id,
    }
    session.say(
        "init", document, lambda: session.line(f"Made a workspace at {workspace.root} ({config.store} store).")
    )


def _doctor(session: Session) -> None:
    """Look at keys, log, store, audit log and disk."""
    from ringwatch.pipeline import examine

    checks = examine(session.workspace())
    code = max(check.code for check in checks)
    document = {"ok": not code, "checks": [check.document() for check in checks]}
    session.say(
        "doctor", document, lambda: session.table(("", "what", "found"), [(c.state, c.name, c.text) for c in checks])
    )
    if code:
        raise typer.Exit(code)


def _schema_apply(session: Session, wait: Wait = 10.0) -> None:
    """Bring the store's schema to this version."""
    from ringwatch.pipeline import apply_schema

    ran = apply_schema(session.workspace(), wait=wait)
    session.say(
        "schema",
        {"migrations": ran},
        lambda: session.line("\n".join(ran) if ran else "The schema is up to date."),
    )


def _keys_rotate(
    session: Session,
    reason: Annotated[str, typer.Option(help="Goes to the audit log.")],
    wait: Wait = 60.0,
) -> None:
    """Give every entity a new token under a new key, from the vault."""
    from ringwatch.pipeline import rotate

    name = rotate(session.workspace(), reason=reason, wait=wait)
    session.say("keys", {"token_key": name}, lambda: session.line(f"All tokens are made by {name} now."))


def _find(
    session: Session,
    value: Annotated[
        str,
        typer.Argument(help="An address, mailbox, card token, account, network …; - reads it from stdin."),
    ],
    entity_type: Annotated[
        list[str] | None, typer.Option("--type", help="As this entity type only; may be given several times.")
    ] = None,
    wait: Wait = 10.0,
) -> None:
    """Find what the graph knows of an original: it is made a token first, and is written nowhere."""
    from ringwatch.cli.answers import short
    from ringwatch.pipeline import find

    if value == "-":
        value = sys.stdin.readline().strip()
    found = find(session.workspace(), value, tuple(entity_type or ()), wait=wait)

    def show() -> None:
        if not found:
            session.line("The graph does not know it.")
            return
        rows = [(one.type, short(one.key), one.accounts, one.kind or "", one.parent or "") for one in found]
        session.table(("what", "id", "accounts", "known as", "of"), rows, right=("accounts",))

    session.say("find", {"matches": [one.document() for one in found]}, show)


def _reveal(
    session: Session,
    token: Annotated[str, typer.Argument(help="Like ip_0123…; the first digits will do.")],
    reason: Annotated[str, typer.Option(help="Goes to the audit log.")],
) -> None:
    """Open an original out of the vault, on record in the audit log."""
    from ringwatch.ingest import reveal
    from ringwatch.pipeline import whole_token

    workspace = session.workspace()
    token = whole_token(workspace, token)
    with workspace.reading() as current:
        found = reveal(workspace, current, token, reason=reason)
    values = [{"token": one.token, "kind": one.kind, "value": one.value} for one in found]
    session.say(
        "reveal",
        {"token": token, "values": values},
        lambda: session.line("\n".join(f"{one.kind}: {one.value}" for one in found)),
    )


def _audit_verify(
    session: Session,
    anchor: Annotated[
        str | None, typer.Option(help="What `audit export --anchor` printed earlier, or a file of it.")
    ] = None,
) -> None:
    """Check that the audit log is whole, and that every decision in it was signed by somebody who may."""
    from ringwatch.review import verify

    if anchor is not None and Path(anchor).is_file():
        anchor = Path(anchor).read_text(encoding="utf-8", errors="replace")
    found = verify(session.workspace(), anchor=anchor)
    document = {
        "ok": True, "lines": found.chain.lines, "head": found.chain.head, "reviewers": found.reviewers,
        "cases": found.cases, "signed": found.signed, "anchored": anchor is not None,
    }  # fmt: skip

    def show() -> None:
        session.line(f"{found.chain.lines} lines, all in place. Newest {found.chain.head}.")
        session.line(f"{found.signed} signed by {found.reviewers} reviewers, {found.cases} cases by the rules.")

    session.say("audit", document, show)


def _audit_export(
    session: Session,
    anchor: Annotated[bool, typer.Option("--anchor", help="Print how far the log is, to keep elsewhere.")] = False,
    output: Annotated[Path | None, typer.Option(help="A file for the lines, as JSON Lines.")] = None,
) -> None:
    """Print an anchor of the audit log, or write its lines to a file."""
    from ringwatch import audit
    from ringwatch.workspace import write_atomic, writes_to

    path = session.workspace().audit_path
    report = audit.verify(path)
    if anchor == (output is not None):
        raise UsageError("Say what to export.", hint="Give either --anchor or --output FILE.")
    document = {"lines": report.lines, "head": report.head, "public_key": report.public_key}
    if output is None:
        session.say("anchor", {**document, "anchor": report.anchor}, lambda: print(report.anchor))
        return
    with writes_to(output):
        write_atomic(output, path.read_bytes() if path.exists() else b"")
    session.say(
        "audit", {**document, "output": str(output)}, lambda: session.line(f"{report.lines} lines in {output}.")
    )
