"""The tree of errors. Every error knows the exit code of the command that it ends (contract, section 3).

RingwatchError            1  a fault of ours
├── UsageError            2  wrong usage, no workspace, no run yet
├── DataError             3  the data breaks the contract
├── UnavailableError      4  the store or another service cannot be reached
│   └── BusyError         4  another writer holds the workspace
└── PolicyError           5  refused: guard, approvals, stale digest, foreign database
"""

from __future__ import annotations


class RingwatchError(Exception):
    """One sentence that says what went wrong and where; `hint` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def document(self) -> dict[str, object]:
        """What a program is told besides the sentence and the hint."""
        return {}


class UsageError(RingwatchError):
    """The command was called in a way that cannot work: bad option, no workspace, no run yet."""

    exit_code = 2


class DataError(RingwatchError):
    """The input breaks the contract and nothing of it was stored."""

    exit_code = 3


class UnavailableError(RingwatchError):
    """The store or another service cannot be reached."""

    exit_code = 4


class BusyError(UnavailableError):
    """Another process is writing to this workspace."""


class PolicyError(RingwatchError):
    """Refused by a rule that stands above the user: guard, approvals, stale digest, foreign database."""

    exit_code = 5
