"""The audit log: one JSON line an action, each chained to the one before by its hash, so that no change goes unseen.

A line's `hash` is SHA-256 over its other fields, the hash of the line before (`previous`) among them (Haber and
Stornetta 1991, "How to time-stamp a digital document"). Cutting off the newest lines is seen only by someone who has
kept a later hash.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from ringwatch.clock import now
from ringwatch.errors import RingwatchError

_START = "0" * 64
_READ = 1 << 16


@dataclass(frozen=True)
class AuditReport:
    """What `verify` found: how many lines hold, and the hash of the newest one."""

    lines: int
    head: str


def record(path: Path, action: str, **fields: object) -> None:
    """Appends a line with the time, the action and `fields` (values that JSON has), and flushes it to disk.

    Raises:
        RingwatchError: the log cannot be written, or its last line is no line of it.
    """
    try:
        with path.open("a+b") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            line = {"time": now().isoformat(), "action": action, **fields, "previous": _last_hash(log.name)}
            line["hash"] = _hash(line)
            log.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            log.flush()
            os.fsync(log.fileno())
    except OSError as error:
        raise RingwatchError(f"{path} cannot be written: {error.strerror}.", hint="Nothing was revealed.") from error


def verify(path: Path) -> AuditReport:
    """Checks every line against its hash and the one before; a log that does not exist yet has no lines.

    Raises:
        RingwatchError: a line was changed, removed or added from outside; it says which.
    """
    previous, number = _START, 0
    if path.exists():
        with path.open("rb") as log:
            for number, text in enumerate(log, start=1):
                try:
                    line = json.loads(text)
                    holds = line["previous"] == previous and line.pop("hash") == _hash(line) and text.endswith(b"\n")
                except (ValueError, KeyError, TypeError, AttributeError):
                    holds = False
                if not holds:
                    raise _broken(path, number)
                previous = json.loads(text)["hash"]
    return AuditReport(number, previous)


def _hash(line: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(line, sort_keys=True).encode()).hexdigest()


def _last_hash(name: str) -> str:
    with Path(name).open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        tail, start = b"", size
        while start and tail.count(b"\n") < 2:
            start = max(0, start - _READ)
            log.seek(start)
            tail = log.read(size - start)
    if not tail:
        return _START
    try:
        return str(json.loads(tail.splitlines()[-1])["hash"])
    except (ValueError, KeyError, TypeError) as error:
        raise _broken(Path(name), None) from error


def _broken(path: Path, number: int | None) -> RingwatchError:
    where = "Its last line" if number is None else f"Line {number}"
    return RingwatchError(
        f"{where} of {path} does not hold: the audit log was changed.", hint="Compare it with a backup; keep both."
    )
