"""Rows that broke the contract: kept as they came, with the reason, encrypted; listed, exported, ingested again."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ringwatch.audit import record
from ringwatch.errors import UsageError
from ringwatch.ingest.sealed import SealedReader, SealedWriter
from ringwatch.workspace import Current, Workspace, writes_to

FILE = "quarantine.bin"

_SEAL_AT = 4 << 20
# Grouped by what NFKC, and so the test for cards, takes for blanks, dots and hyphens.
_LONG = re.compile(r"\d(?:[\s.\-\u2024\ufe52\ufe63\uff0d\uff0e]*\d){11,}")


@dataclass(frozen=True)
class QuarantineBatch:
    """How many rows of a batch are in quarantine, and how many for each reason."""

    batch_id: str
    rows: int
    reasons: dict[str, int]


@dataclass(frozen=True)
class QuarantineExport:
    """How many rows were exported, and the files that have them."""

    rows: int
    files: list[Path]


class QuarantineWriter(SealedWriter):
    """Writes the quarantine of a batch into its folder."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        super().__init__(workspace, folder / FILE, "quarantine")
        self._held: list[bytes] = []
        self._size = 0
        self._reasons: Counter[str] = Counter()
        self.rows = 0

    def keep(self, table: str, file: str, line: int, reason: str, row: dict[str, Any]) -> None:
        """Adds a row in the columns in which it came."""
        said = {"table": table, "file": file, "line": line, "reason": reason, "row": row}
        data = json.dumps(said, ensure_ascii=True).encode()
        self._held.append(data)
        self._size += len(data)
        self._reasons[reason] += 1
        self.rows += 1
        if self._size >= _SEAL_AT:
            self.seal()

    def seal(self) -> None:
        """Seals what is held in memory."""
        if self._held:
            self.add(b"\n".join(self._held), reasons=dict(self._reasons))
            self._held, self._size, self._reasons = [], 0, Counter()


def without_long_numbers(text: str) -> str:
    """Text in which every number that is long enough for a card's is blotted out."""
    return _LONG.sub("[number]", text)


def list_quarantine(workspace: Workspace, current: Current) -> list[QuarantineBatch]:
    """The batches that have rows in quarantine, oldest first."""
    listed = []
    for batch, reader in _readers(workspace, current.batches):
        reasons: Counter[str] = Counter()
        for entry in reader.entries:
            reasons.update(entry["reasons"])
        listed.append(QuarantineBatch(batch, reasons.total(), dict(sorted(reasons.items()))))
    return listed


def export_quarantine(
    workspace: Workspace, current: Current, output: Path, *, reason: str, batch: str | None = None
) -> QuarantineExport:
    """Writes the quarantined rows, of all batches or of one; the audit log has the reason first.

    An `output` that ends in `.jsonl` gets all that is known of each row. Any other is a folder that becomes a drop of
    the rows alone, to be corrected and ingested again; the folder must be empty or not exist.

    Raises:
        UsageError: no reason, no such batch, or `output` cannot be written or holds something already.
        RingwatchError: a quarantine is damaged.
    """
    if not reason.strip():
        raise UsageError(
            "An export of raw rows needs a reason.", hint="Give one with --reason; the audit log keeps it."
        )
    if batch is not None and batch not in current.batches:
        raise UsageError(f"There is no batch {batch}.", hint="`ringwatch quarantine list` names them.")
    single = output.suffix == ".jsonl"
    if not single and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(
            f"{output} is no empty folder.", hint="Name another --output, or a file that ends in .jsonl."
        )
    batches = current.batches if batch is None else (batch,)
    record(workspace.audit_path, "quarantine-export", batches=list(batches), reason=reason)
    files: dict[Path, TextIO] = {}
    rows = 0
    with writes_to(output), ExitStack() as opened:
        (output.parent if single else output).mkdir(parents=True, exist_ok=True)
        for batch_id, reader in _readers(workspace, batches):
            for _, data in reader.chunks():
                for text in data.splitlines():
                    said = json.loads(text)
                    path = output if single else output / f"{said['table']}-quarantine.jsonl"
                    if path not in files:
                        files[path] = opened.enter_context(_private(path))
                    written = {"batch_id": batch_id, **said} if single else said["row"]
                    files[path].write(json.dumps(written, ensure_ascii=False) + "\n")
                    rows += 1
        if single and not files:
            files[output] = opened.enter_context(_private(output))
    return QuarantineExport(rows, sorted(files))


def _private(path: Path) -> TextIO:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    # A lone surrogate, which JSON can name and UTF-8 cannot hold, stays an escape.
    return os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace")


def _readers(workspace: Workspace, batches: Sequence[str]) -> Iterator[tuple[str, SealedReader]]:
    for batch in batches:
        path = workspace.log_dir / batch / FILE
        if path.is_file():
            yield batch, SealedReader(workspace, path, "quarantine")
