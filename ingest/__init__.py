"""A drop comes in; validated, normalised, tokenised rows go to an append-only log of atomic batches.

What broke the contract goes to the quarantine, originals go to the vault; both are encrypted. Nothing here commits:
the pipeline moves a staged batch into the log and names it in CURRENT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringwatch.doors import door

if TYPE_CHECKING:
    from ringwatch.ingest.batch import stage_batch
    from ringwatch.ingest.contract import tables
    from ringwatch.ingest.forget import Erasure, erase
    from ringwatch.ingest.log import EventLog
    from ringwatch.ingest.quarantine import QuarantineBatch, QuarantineExport, export_quarantine, list_quarantine
    from ringwatch.ingest.report import FrozenError, IngestReport, Mode
    from ringwatch.ingest.rotate import Rotation, rotate_keys
    from ringwatch.ingest.search import Known, find_value, whole_token
    from ringwatch.ingest.sources import find_sources
    from ringwatch.ingest.vault import Revealed, reveal
else:
    __getattr__ = door(__name__)

__all__ = [
    "Erasure",
    "EventLog",
    "FrozenError",
    "IngestReport",
    "Known",
    "Mode",
    "QuarantineBatch",
    "QuarantineExport",
    "Revealed",
    "Rotation",
    "erase",
    "export_quarantine",
    "find_sources",
    "find_value",
    "list_quarantine",
    "reveal",
    "rotate_keys",
    "stage_batch",
    "tables",
    "whole_token",
]
