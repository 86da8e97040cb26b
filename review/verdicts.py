"""Verdicts as labels: what decisions say of accounts, with source and time, for the next `train` and `detect`.

A label's source is `ringwatch:CASE:BASIS`. The basis marks what the label owes to the detector: `detector`, a person
judged what the detector had put in front of them, so that what it never finds is never labelled; `appeal`, the
account's holder was heard; `outcome`, the action was reversed. A verdict that is taken back (a job is undone, a case
proposed anew, a member excluded) is withdrawn: from then on it is as if it had not been, and earlier moments still
have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ringwatch import audit
from ringwatch.errors import BusyError
from ringwatch.ingest.log import WITHDRAWN
from ringwatch.pipeline import catch_up, store_verdicts
from ringwatch.review.cases import Book, Case, fold
from ringwatch.workspace import Workspace

COLUMNS = ("account_id", "label", "labelled_at", "source", "group_id", "reviewer")


def verdict_labels(book: Book) -> pd.DataFrame:
    """COLUMNS: every label that decisions gave, and every withdrawal, in the order they came."""
    rows = [row for case in book.cases.values() for row in _rows(case)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["labelled_at"] = pd.to_datetime(frame["labelled_at"], utc=True, format="ISO8601").dt.as_unit("us")
    return frame


def _rows(case: Case) -> Iterator[dict[str, Any]]:
    last: dict[str, tuple[str, str]] = {}
    for step in reversed(list(case.steps())):
        now = dict(step.labels)
        event = step.events[-1]
        for account in sorted({*last, *now}):
            if last.get(account) == now.get(account):
                continue
            label, basis = now.get(account, (WITHDRAWN, last.get(account, ("", ""))[1]))
            yield {
                "account_id": account,
                "label": label,
                "labelled_at": event["time"],
                "source": f"ringwatch:{case.case_id}:{basis}",
                "group_id": case.cluster_id if label == "abusive" else None,
                "reviewer": event["actor"],
            }
        last = now


def publish_verdicts(workspace: Workspace, *, wait: float = 10.0) -> int | None:
    """Brings the labels of the log up to the verdicts; how many rows were new, null where another process writes to
    the workspace (`detect` and `train` catch up).

    Raises:
        UnavailableError, PolicyError: the store cannot be reached, or belongs to another workspace.
    """
    try:
        catch_up(workspace, wait=wait)  # an erasure that was cut off is not yet in the audit log
    except BusyError:
        return None
    entries = audit.read(workspace.audit_path)
    labels = verdict_labels(fold(workspace.current().workspace_id, entries))
    # What was erased, labels among it, must not come back; an erasure is preceded by a publication.
    erased = [str(entry.get("asked", entry["time"])) for entry in entries if entry["action"] == "forgotten"]
    if erased:
        labels = labels[labels["labelled_at"] > pd.Timestamp(erased[-1])]
    if labels.empty:
        return 0
    try:
        return store_verdicts(workspace, labels, wait=wait)
    except BusyError:
        return None
