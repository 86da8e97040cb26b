"""The audit log: one JSON line an action, each chained to the one before by its hash and sealed by the workspace.

A line's `hash` is SHA-256 over its other fields, the hash of the line before (`previous`) among them (Haber and
Stornetta 1991, "How to time-stamp a digital document"); its `seal` is an Ed25519 signature of that hash under
`keys/audit.key`. A line has one spelling: whatever differs from it by a byte does not hold. What is cut off at the
end, or rewritten by somebody who has the key, is seen by whoever kept an *anchor*: how many lines there were, the
hash of the last one, and the public key.

Lines are written and flushed under a lock. One that a crash left incomplete was never acknowledged: the next writer
takes it off, and says so in a line of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ringwatch.clock import now
from ringwatch.errors import RingwatchError, UsageError
from ringwatch.workspace import fsync_path, lock, write_atomic

Entry = dict[str, Any]
"""A line of the log: `time`, `action`, its own fields, `previous`, `hash`, `seal`."""

START = "0" * 64
"""What the first line has for the hash of the one before."""

_READ = 1 << 16
_ANCHOR = re.compile(r"ringwatch-anchor-1\.([0-9]{1,12})\.([0-9a-f]{64})\.([0-9a-f]{64})\Z")
_SEAL = re.compile(r"[0-9a-f]{128}\Z")


@dataclass(frozen=True)
class AuditReport:
    """What `verify` found: how many lines hold, the hash of the newest one, and the public key of the seals (hex;
    empty where there is no line yet)."""

    lines: int
    head: str
    public_key: str

    @property
    def anchor(self) -> str:
        """A text to keep elsewhere: `verify` with it finds a log that was cut short or rewritten."""
        return f"ringwatch-anchor-1.{self.lines}.{self.head}.{self.public_key or START}"


class Appender:
    """The log under its writer's lock: what it holds, and how it grows. What is not flushed was never said."""

    def __init__(self, path: Path, handle: BinaryIO) -> None:
        self._path = path
        self._handle = handle
        self._key = _private_key(path)
        self._added: list[Entry] = []
        self._mend()
        self.head = _last_hash(handle, path)

    def read(self) -> list[Entry]:
        """All lines, checked but for their seals.

        Raises:
            RingwatchError: one does not hold.
        """
        self._handle.seek(0)
        return list(_lines(self._handle, self._path, None))

    def add(self, action: str, fields: Mapping[str, object], *, moment: datetime) -> Entry:
        """The next line, with its fields (values that JSON has); `flush` writes it."""
        line: Entry = {"time": moment.isoformat(), "action": action, **fields, "previous": self.head}
        line["hash"] = self.head = _hash(line)
        line["seal"] = self._key.sign(line["hash"].encode()).hex()
        self._added.append(line)
        return line

    def flush(self) -> None:
        """Writes the lines that were added, together, and flushes them to disk."""
        self._handle.write(b"".join(_spelled(line) for line in self._added))
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._added = []

    def _mend(self) -> None:
        """Takes off a last line that a crash left incomplete."""
        torn = _torn(self._handle)
        if torn:
            self._handle.truncate(self._handle.seek(0, os.SEEK_END) - len(torn))
            self.head = _last_hash(self._handle, self._path)
            digest = hashlib.sha256(torn).hexdigest()
            self.add("mended", {"bytes": len(torn), "sha256": digest}, moment=now())
            self.flush()


@contextmanager
def appending(path: Path, *, wait: float = 10.0) -> Iterator[Appender]:
    """Opens the log at `path` to be read and added to by this process alone.

    Raises:
        BusyError: another process has it for longer than `wait` seconds.
        RingwatchError: it cannot be written, its last line is no line of it, or its key is missing.
    """
    try:
        made = not path.exists()
        with path.open("a+b") as handle:
            lock(handle, path, wait)
            if made:
                fsync_path(path.parent)
            yield Appender(path, handle)
    except OSError as error:
        raise RingwatchError(f"{path} cannot be written: {error.strerror}.", hint="Nothing was done.") from error


def record(path: Path, action: str, **fields: object) -> None:
    """Appends a line with the time, the action and `fields` (values that JSON has), and flushes it to disk.

    Raises:
        RingwatchError: as `appending`.
    """
    with appending(path) as log:
        log.add(action, fields, moment=now())
        log.flush()


def read(path: Path) -> list[Entry]:
    """The lines as last committed, checked but for their seals; none where there is no log yet.

    Raises:
        RingwatchError: a line does not hold.
    """
    if not path.exists():
        return []
    with path.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        end = handle.seek(0, os.SEEK_END) - len(_torn(handle))
        handle.seek(0)
        return list(_lines(handle, path, None, end=end))


def verify(path: Path, *, anchor: str | None = None) -> AuditReport:
    """Checks every line: its spelling, its hash, the one before and its seal; a log that does not exist has no lines.

    Raises:
        RingwatchError: a line was changed, removed, moved or added from outside, and which; or the log is not the one
            that the `anchor` was taken of, or ends before it.
        UsageError: `anchor` is none.
    """
    lines, head, key, kept = 0, START, "", _parse_anchor(anchor)
    at_anchor = START
    if path.exists():
        with path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH)
            public = public_key(path) if handle.seek(0, os.SEEK_END) else None
            key = public.public_bytes_raw().hex() if public else ""
            handle.seek(0)
            for line in _lines(handle, path, public):
                lines, head = lines + 1, line["hash"]
                if kept and lines == kept[0]:
                    at_anchor = head
    if kept:
        count, expected, of_key = kept
        if count > lines:
            raise RingwatchError(
                f"{path} has {lines} lines and had {count} when the anchor was taken: its end was cut off.",
                hint="Restore it from a backup; keep both.",
            )
        if at_anchor != expected or (count and of_key != key):
            raise RingwatchError(
                f"{path} was rewritten: line {count} is not the one that the anchor was taken of.",
                hint="Restore it from a backup; keep both.",
            )
    return AuditReport(lines, head, key)


def public_key(path: Path) -> Ed25519PublicKey:
    """The key that the seals of the log at `path` are checked with.

    Raises:
        RingwatchError: `keys/audit.key` is missing or damaged.
    """
    return _private_key(path).public_key()


# -- lines -----------------------------------------------------------------------------------------------------------


def _lines(
    handle: BinaryIO, path: Path, public: Ed25519PublicKey | None, *, end: int | None = None
) -> Iterator[Entry]:
    """The lines from the handle's place up to the offset `end`; their seals are checked by `public`."""
    previous, place = START, 0
    for number, text in enumerate(handle, start=1):
        if end is not None and place >= end:
            return
        place += len(text)
        try:
            line: Entry = json.loads(text)
            holds = (
                text == _spelled(line)
                and line["previous"] == previous
                and line["hash"] == _hash(line)
                and _SEAL.match(line["seal"]) is not None
            )
            if holds and public is not None:
                public.verify(bytes.fromhex(line["seal"]), line["hash"].encode())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidSignature):
            holds = False
        if not holds:
            raise _broken(path, number)
        previous = line["hash"]
        yield line


def _spelled(line: Entry) -> bytes:
    """The one spelling of a line; ASCII, so that nothing in it acts on the terminal of a reader."""
    return json.dumps(line, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def _hash(line: Entry) -> str:
    said = {name: value for name, value in line.items() if name not in ("hash", "seal")}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _tail(handle: BinaryIO) -> bytes:
    """The end of the file, two line breaks or all of it."""
    start = handle.seek(0, os.SEEK_END)
    pieces: list[bytes] = []
    found = 0
    while start and found < 2:
        stop, start = start, max(0, start - _READ)
        handle.seek(start)
        pieces.append(handle.read(stop - start))
        found += pieces[-1].count(b"\n")
    return b"".join(reversed(pieces))


def _torn(handle: BinaryIO) -> bytes:
    """What stands behind the last line break."""
    return _tail(handle).rpartition(b"\n")[2]


def _last_hash(handle: BinaryIO, path: Path) -> str:
    tail = _tail(handle)
    if not tail:
        return START
    try:
        return str(json.loads(tail.splitlines()[-1])["hash"])
    except (ValueError, KeyError, TypeError) as error:
        raise _broken(path, None) from error


def _broken(path: Path, number: int | None) -> RingwatchError:
    where = "Its last line" if number is None else f"Line {number}"
    return RingwatchError(
        f"{where} of {path} does not hold: the audit log was changed, or a write to it was cut off.",
        hint="Compare it with a backup; keep both. A write that was cut off is taken off by the next one.",
    )


# -- key, anchor -----------------------------------------------------------------------------------------------------


def _private_key(path: Path) -> Ed25519PrivateKey:
    """The key of the seals, made with the log's first line.

    Raises:
        RingwatchError: it is missing though there are lines, or damaged.
    """
    place = path.parent / "keys" / "audit.key"
    if not place.exists() and not path.stat().st_size:
        place.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomic(place, Ed25519PrivateKey.generate().private_bytes_raw(), mode=0o600)
    try:
        return Ed25519PrivateKey.from_private_bytes(place.read_bytes())
    except (OSError, ValueError) as error:
        raise RingwatchError(
            f"The key {place} of the audit log is missing or damaged.", hint="Restore it from a backup."
        ) from error


def _parse_anchor(text: str | None) -> tuple[int, str, str] | None:
    if text is None:
        return None
    parts = _ANCHOR.match("".join(text.split()))
    if not parts:
        raise UsageError(
            "That is no anchor of an audit log.",
            hint="`ringwatch audit export --anchor` prints one, or a file of it.",
        )
    return int(parts[1]), parts[2], parts[3]
