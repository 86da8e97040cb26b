"""What a batch did: the accounting of the contract, rows read = stored + duplicates + quarantined."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ringwatch.clock import now, parse_time
from ringwatch.errors import DataError

FILE = "report.json"
Mode = Literal["discard-row", "discard-value", "freeze"]


@dataclass(frozen=True)
class IngestReport:
    """Rows by fate, reasons of violations (reason → rows), wall seconds, and the same counts per table."""

    batch_id: str | None
    read: int
    stored: int
    duplicates: int
    quarantined: int
    violations: dict[str, int]
    seconds: float
    tables: dict[str, dict[str, int]]
    warnings: list[str] = field(default_factory=list)
    dry_run: bool = False

    def document(self) -> dict[str, object]:
        """The JSON document of `ringwatch ingest --json`, without its schema."""
        return {
            "batch_id": self.batch_id,
            "read": self.read,
            "stored": self.stored,
            "duplicates": self.duplicates,
            "quarantined": self.quarantined,
            "violations": self.violations,
            "seconds": self.seconds,
            "tables": self.tables,
            "warnings": self.warnings,
            "dry_run": self.dry_run,
        }

    def refused(self) -> IngestReport:
        """The report of the same drop when a violation stopped it: all is 0 but what was read and violated."""
        tables = {
            name: {count: rows if count == "read" else 0 for count, rows in counts.items()}
            for name, counts in self.tables.items()
        }
        return replace(self, batch_id=None, stored=0, duplicates=0, quarantined=0, tables=tables)


class FrozenError(DataError):
    """A violation stopped the batch (mode `freeze`); `report` says how many rows were read and what they violate."""

    def __init__(self, report: IngestReport) -> None:
        reasons = ", ".join(f"{reason} {rows}" for reason, rows in report.violations.items())
        super().__init__(
            f"The drop breaks the contract and nothing was stored: {reasons}.",
            hint="Correct the rows, or ingest with --mode discard-row and look at `ringwatch quarantine list`.",
        )
        self.report = report

    def document(self) -> dict[str, object]:
        """The counts of the refused drop."""
        return self.report.document()

    def __reduce__(self) -> tuple[type[FrozenError], tuple[IngestReport]]:
        return FrozenError, (self.report,)


def keep_report(report: IngestReport, folder: Path) -> None:
    """Writes the report into the folder of its batch, with the time."""
    document = {**report.document(), "ingested_at": now().isoformat()}
    (folder / FILE).write_text(json.dumps(document, indent=1), encoding="utf-8")


def ingested_at(folder: Path) -> datetime:
    """When the batch of a folder was ingested. Builds that did not write it down wrote the report then."""
    path = folder / FILE
    written = json.loads(path.read_text(encoding="utf-8")).get("ingested_at")
    return parse_time(written) if written else datetime.fromtimestamp(path.stat().st_mtime, UTC)
