"""Erasure as a whole: log, vaults, runs, models and graph without an account, or without what is too old."""

from __future__ import annotations

import hmac
import json
import secrets
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from ringwatch import audit
from ringwatch.clock import now
from ringwatch.errors import BusyError, UsageError
from ringwatch.graphs.schema import EDGES
from ringwatch.ingest import Erasure, erase
from ringwatch.pipeline.runs import write_frame
from ringwatch.pipeline.stores import GRAPH_FOLDER
from ringwatch.pipeline.workspaces import rewrite
from ringwatch.pipeline.writing import FORGOTTEN, writer
from ringwatch.workspace import Workspace, derive_key


def forget(
    workspace: Workspace,
    accounts: Sequence[str] = (),
    *,
    before: datetime | None = None,
    reason: str,
    wait: float = 60.0,
) -> Erasure:
    """Erases all that is known of accounts, or all that is older than a moment, from everything but the audit log.

    The audit log keeps that it was done, when and why, and a keyed hash of each account (`forgotten_as`). What it
    says of cases stays, account ids among it: it is the record of what was decided of them. A run keeps what it found
    of others; a cluster that had an erased member is to be detected anew before anything is decided of it.

    Raises:
        UsageError: no reason, nothing to erase is named, or neither log nor quarantine knows an account.
        BusyError: another process writes, or still reads the log of before the erasure, after `wait` seconds; in the
            second case the next writer removes the files of it.
        UnavailableError, PolicyError: as `rebuild`. RingwatchError: a vault is damaged.
    """
    if not reason.strip():
        raise UsageError("An erasure needs a reason.", hint="Give one with --reason; the audit log keeps it.")
    if bool(accounts) == (before is not None):
        raise UsageError("Say what to erase.", hint="Name accounts, or give --older-than.")
    with writer(workspace, wait=wait):
        current, asked = workspace.current(), now()
        staged = workspace.staging_dir / f"erasure-{secrets.token_hex(4)}"
        names = [forgotten_as(workspace, account) for account in accounts]
        gone = erase(workspace, current, staged, accounts=accounts, before=before)
        said = {
            "accounts": names, "before": before.isoformat() if before else None, "reason": reason,
            "asked": asked.isoformat(),
        }  # fmt: skip
        audit.record(workspace.audit_path, "forget", **said)
        for kept in (
            *(workspace.runs_dir / run for run in current.runs),
            *(workspace.models_dir / model for model in current.models),
        ):
            _without(kept, set(gone.accounts))
        shutil.rmtree(workspace.training_dir, ignore_errors=True)
        done = {**said, "rows": gone.rows, "originals": gone.originals, "whole_accounts": len(gone.accounts)}
        (staged / FORGOTTEN).write_text(json.dumps(done), encoding="utf-8")
        rewrite(workspace, staged)
        if not workspace.sweep(wait=wait):
            raise BusyError(
                "The erasure is committed, but another process still reads the files of before, which are there yet.",
                hint="When it has ended run `ringwatch detect`: that removes them.",
            )
    return gone


def forgotten_as(workspace: Workspace, account: str) -> str:
    """What the audit log calls an account that was erased: a keyed hash, so that the log does not name it."""
    return hmac.digest(derive_key(workspace.secret("signatures"), "forgotten"), account.encode(), "sha256").hex()


def _without(run: Path, gone: set[str]) -> None:
    """Takes rows of accounts out of what a run or a model keeps; once more does no harm."""
    for path in sorted([*run.glob("*.parquet"), *(run / GRAPH_FOLDER).glob("*.parquet")]):
        frame = pd.read_parquet(path)
        kept = frame
        for column in _account_columns(path):
            if column in kept.columns:
                kept = kept[~kept[column].isin(gone)]
        if "entity" in kept.columns and path.parent == run:
            # The exemplar of a relation is an account.
            kept = kept.assign(entity=kept["entity"].where(~kept["entity"].isin(gone)))
        if not kept.equals(frame):
            write_frame(path, kept)


def _account_columns(path: Path) -> tuple[str, ...]:
    """The columns of a run's file that name accounts."""
    kind, _, name = path.stem.partition("-")
    if kind == "edges" and name in EDGES:
        ends = (("src", EDGES[name].src), ("dst", EDGES[name].dst))
        return tuple(column for column, label in ends if label == "Account")
    if kind == "nodes":
        return ("id",) if name == "Account" else ()
    return ("account_id", "src", "dst")
