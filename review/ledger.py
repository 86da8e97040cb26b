"""The state of record of cases: entries of the audit log, read whole and added to under its lock.

There is no other database of cases: whoever wants another state has to write a line that the rules allow, signed by
somebody who may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ringwatch import audit
from ringwatch.audit import AuditReport
from ringwatch.clock import now
from ringwatch.errors import PolicyError, UsageError
from ringwatch.queries import Anonymity
from ringwatch.review.cases import Book, fold
from ringwatch.review.reviewers import Signer, unlock, waste
from ringwatch.workspace import Workspace

Draft = tuple[str, Mapping[str, Any]]
"""Action and fields of an entry that is to be written."""


@dataclass(frozen=True)
class Verified:
    """What a verification found: the chain, and how many reviewers, cases and signed entries follow the rules."""

    chain: AuditReport
    reviewers: int
    cases: int
    signed: int


def load_book(workspace: Workspace) -> Book:
    """Reviewers and cases as last committed.

    Raises:
        RingwatchError: the audit log does not hold, or breaks the rules.
    """
    return fold(workspace.current().workspace_id, audit.read(workspace.audit_path))


def sign_in(workspace: Workspace, name: str, passphrase: str) -> Signer:
    """A reviewer who may still sign, able to. Whether the name or the passphrase is wrong takes the same time to say.

    Raises:
        UsageError: there is no such reviewer. PolicyError: they are retired, the passphrase is not theirs, or the key
            in their file is not the one that they were enrolled with.
    """
    book = load_book(workspace)
    try:
        signer = unlock(workspace, name, passphrase)
    except UsageError:
        waste(passphrase)
        raise
    if book.reviewer(name).key != signer.key:
        raise PolicyError(
            f"The key of {name} is not the one that was enrolled.", hint="Restore it from a backup; it signs nothing."
        )
    return signer


def anonymity_of(workspace: Workspace) -> Anonymity:
    """The rule of a workspace for aggregates over few accounts: members of cases that somebody still has to do
    something about are shown."""
    cases = load_book(workspace).cases.values()
    shown = frozenset(account for case in cases if case.active for account in case.members)
    return Anonymity(workspace.config.anonymity_k, shown)


def verify(workspace: Workspace, *, anchor: str | None = None) -> Verified:
    """Checks the chain of the audit log and that every entry of a case could be written by the rules: signed by a key
    that was enrolled, and approved by somebody else than the proposer.

    Raises:
        RingwatchError: it does not; which line, and why. UsageError: `anchor` is none.
    """
    chain = audit.verify(workspace.audit_path, anchor=anchor)
    entries = audit.read(workspace.audit_path)
    book = fold(workspace.current().workspace_id, entries)
    return Verified(chain, len(book.reviewers), len(book.cases), sum("signature" in entry for entry in entries))


def write(
    workspace: Workspace, signer: Signer | None, make: Callable[[Book], Iterable[Draft]], *, wait: float = 10.0
) -> Book:
    """Adds what `make` gives for the book as it stands, signed by `signer` (unsigned without), all of it or nothing.

    `make` is a generator where one entry depends on another: it sees the book after each. The book afterwards.

    Raises:
        PolicyError, UsageError: the rules do not allow it. BusyError: another process writes for longer than `wait`.
        RingwatchError: the audit log does not hold.
    """
    workspace_id = workspace.current().workspace_id
    with audit.appending(workspace.audit_path, wait=wait) as log:
        book = fold(workspace_id, log.read())
        for action, fields in make(book):
            moment = now()
            said: dict[str, Any] = {"time": moment.isoformat(), "action": action, **fields}
            said |= {"workspace": workspace_id, "after": book.after(fields)}
            if signer is not None:
                said |= {"actor": signer.name, "key": signer.key}
                said["signature"] = signer.sign(said)
            entry = log.add(
                action,
                {name: value for name, value in said.items() if name not in ("time", "action")},
                moment=moment,
            )
            book.advance(entry)
        log.flush()
    return book
