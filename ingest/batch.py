"""A drop becomes the files of a batch: read, judged, normalised, tokenised, deduplicated, written; in bounded memory.

The DuckDB connection that sees what came in has no temporary folder: a raw value never reaches the disk.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ringwatch.errors import DataError
from ringwatch.ingest.apart import run_apart
from ringwatch.ingest.contract import TABLE_NAMES, Table, tables
from ringwatch.ingest.dedupe import Outcome, Parts, settle
from ringwatch.ingest.dictionary import Dictionaries, TokenMaker
from ringwatch.ingest.engine import connect, engine_errors
from ringwatch.ingest.quarantine import FILE as QUARANTINE
from ringwatch.ingest.quarantine import QuarantineWriter, without_long_numbers
from ringwatch.ingest.readers import Chunk, read_chunks
from ringwatch.ingest.report import FrozenError, IngestReport, Mode, keep_report
from ringwatch.ingest.rows import original_rows
from ringwatch.ingest.sources import SourceFile, find_sources
from ringwatch.ingest.validate import ROW_BITS, staging_query
from ringwatch.ingest.vault import FILE as VAULT
from ringwatch.ingest.vault import VaultWriter
from ringwatch.metrics import Stopwatch
from ringwatch.pieces import Behind
from ringwatch.workspace import Current, Workspace, derive_key, fsync_path

_NAMED_IN_WARNING = 8
_LARGEST_CHUNK = 512 << 20
_kernels: Any = pc


@dataclass(frozen=True)
class Job:
    """What is to be staged: see `stage_batch`."""

    workspace: Workspace
    current: Current
    sources: Sequence[Path]
    mode: Mode
    folder: Path
    batch_id: str
    watch: Stopwatch


def stage_batch(
    workspace: Workspace,
    current: Current,
    sources: Sequence[Path],
    *,
    mode: Mode,
    folder: Path,
    batch_id: str,
    watch: Stopwatch,
) -> IngestReport:
    """Writes the files of a batch into `folder`, which it makes: what is new beside the batches of `current`.

    Another process does it: nothing raw comes into the memory of this one.

    Raises:
        FrozenError: mode is `freeze` and a row breaks the contract; `folder` is gone again.
        DataError: a file cannot be read, passes a bound, or lacks a required column; `folder` is gone again.
    """
    report, watch.stages = run_apart(stage_here, Job(workspace, current, sources, mode, folder, batch_id, watch))
    return report


def stage_here(job: Job) -> tuple[IngestReport, dict[str, float]]:
    """What `stage_batch` does, in this process; the report and the seconds of the stages."""
    job.folder.mkdir(parents=True)
    try:
        with engine_errors(), ExitStack() as opened:
            report = _Batch(job, opened).run()
        if not report.stored:
            (job.folder / VAULT).unlink()
        if not report.quarantined:
            (job.folder / QUARANTINE).unlink()
        keep_report(report, job.folder)
        for path in (*job.folder.iterdir(), job.folder):
            fsync_path(path)
    except BaseException:
        shutil.rmtree(job.folder, ignore_errors=True)
        raise
    return report, job.watch.stages


class _Batch:
    """The state of one batch while its files are read."""

    def __init__(self, job: Job, opened: ExitStack) -> None:
        workspace, folder = job.workspace, job.folder
        memory = workspace.config.memory_mb << 20
        self._job = job
        self._config = workspace.config
        self._watch = job.watch
        self._tables = tables(self._config)
        self._chunk = min(_LARGEST_CHUNK, memory // 8)
        self._salt = derive_key(workspace.secret("signatures"), "contents").hex()
        self._raw = opened.enter_context(closing(connect(self._config.memory_mb)))
        self._vault = opened.enter_context(VaultWriter(workspace, folder))
        self._quarantine = opened.enter_context(QuarantineWriter(workspace, folder))
        maker = TokenMaker(workspace.secret(job.current.token_key), self._config)
        self._behind = opened.enter_context(Behind())
        self._dictionaries = Dictionaries(
            self._raw, workspace, self._keep, maker, salt=self._salt, budget=memory // 5,
            pool=opened.enter_context(ThreadPoolExecutor(1)),
        )  # fmt: skip
        self._parts: dict[str, Parts] = {}
        self._read: Counter[str] = Counter()
        self._quarantined: Counter[str] = Counter()
        self._violations: Counter[str] = Counter()
        self._unknown: dict[str, None] = {}

    def run(self) -> IngestReport:
        with self._watch.stage("find"):
            files, warnings = find_sources(self._job.sources, self._config.limits)
        for number, file in enumerate(files):
            for chunk in self._chunks(file):
                self._take(chunk, number, file)
        with self._watch.stage("write"):
            self._behind.wait()
        with self._watch.stage("dedupe"):
            for parts in self._parts.values():
                parts.close()
            rows = sum(parts.rows for parts in self._parts.values())
            outcomes = settle(self._job.workspace, self._job.current, self._job.folder, rows)
        self._conflicts(files, outcomes["events"].conflicts if "events" in outcomes else ())
        self._quarantine.seal()
        counts = {name: self._counts(name, outcomes.get(name)) for name in TABLE_NAMES if name in self._read}
        total: Counter[str] = Counter()
        for count in counts.values():
            total.update(count)
        report = IngestReport(
            batch_id=self._job.batch_id,
            read=total["read"],
            stored=total["stored"],
            duplicates=total["duplicates"],
            quarantined=total["quarantined"],
            violations=dict(sorted(self._violations.items())),
            seconds=self._watch.seconds,
            tables=counts,
            warnings=warnings + self._warnings(),
        )
        if self._job.mode == "freeze" and report.violations:
            raise FrozenError(report.refused())
        return report

    # -- reading ------------------------------------------------------------------------------------------

    def _chunks(self, file: SourceFile) -> Iterator[Chunk]:
        table = self._tables[file.table]
        chunks = read_chunks(self._raw, file, table, self._config.limits, size=self._chunk)
        while True:
            with self._watch.stage("read"):
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def _take(self, chunk: Chunk, number: int, file: SourceFile) -> None:
        table = self._tables[file.table]
        self._read[table.name] += chunk.read
        self._unknown |= dict.fromkeys(f"{table.name}.{name}" for name in sorted(chunk.unknown))
        for row in chunk.malformed:
            self._refuse(table, file, row.line, row.reason, {"text": without_long_numbers(row.content)})
        if not chunk.rows.num_rows:
            return
        self._raw.register("chunk", chunk.rows)
        described = self._raw.sql("DESCRIBE SELECT * FROM chunk").fetchall()
        types = {name: kind for name, kind, *_ in described}
        with self._watch.stage("prompts"):
            signed = self._dictionaries.prompts(types)
        with self._watch.stage("tokens"):
            for tokens in self._dictionaries.fill(table, types):
                self._add("tokens", tokens)
        with self._watch.stage("prompts"):
            prompts = signed()
            if prompts is not None:
                self._add("prompts", prompts)
        with self._watch.stage("judge"):
            query = staging_query(table, number, types, self._job.mode, self._config, self._salt)
            staged = self._raw.sql(query).to_arrow_table()
        if staged["reason"].null_count < len(staged):
            good = _kernels.is_null(staged["reason"])
            self._refuse_rows(table, file, staged.filter(_kernels.invert(good)).select(["rid", "reason"]))
            staged = staged.filter(good)
        self._violations.update(staged["soft"].combine_chunks().flatten().to_pylist())
        with self._watch.stage("write"):
            if len(staged):
                self._add(table.name, staged.drop_columns(["rid", "reason", "soft"]))
            if len(staged) and table.name == "events":
                self._add("rids", staged.select(["rid"]))
        self._raw.unregister("chunk")

    def _add(self, name: str, rows: pa.Table) -> None:
        if name not in self._parts:
            self._parts[name] = Parts(self._job.folder, name)
        self._behind.do(self._parts[name].add, rows)

    def _keep(self, kind: str, tokens: Any, values: Any) -> None:
        self._behind.do(self._vault.keep, kind, tokens, values)

    # -- what broke the contract --------------------------------------------------------------------------

    def _refuse_rows(self, table: Table, file: SourceFile, bad: pa.Table) -> None:
        """Quarantines rows of `chunk`: `rid`, `reason`."""
        with self._watch.stage("quarantine"):
            for line, reason, row in original_rows(self._raw, table, bad):
                self._refuse(table, file, line, reason, row)

    def _refuse(self, table: Table, file: SourceFile, line: int, reason: str, row: dict[str, Any]) -> None:
        self._quarantine.keep(table.name, file.name, line, reason, row)
        self._quarantined[table.name] += 1
        self._violations[reason] += 1

    def _conflicts(self, files: list[SourceFile], rids: Sequence[int]) -> None:
        """Fetches the rows of events in conflict, which are known by their `rid`s only, from their files."""
        rows: dict[int, list[int]] = {}
        for rid in rids:
            rows.setdefault(rid >> ROW_BITS, []).append(rid)
        for number, wanted in rows.items():
            table = self._tables[files[number].table]
            bad = pa.table({"rid": pa.array(wanted), "reason": pa.repeat("event_conflict", len(wanted))})
            before = self._quarantine.rows
            for chunk in self._chunks(files[number]):
                self._raw.register("chunk", chunk.rows)
                self._refuse_rows(table, files[number], bad)
                self._raw.unregister("chunk")
            if self._quarantine.rows != before + len(wanted):
                raise DataError(
                    f"{files[number].name} changed while it was being read.",
                    hint="Ingest it when it is complete.",
                )

    # -- the end ------------------------------------------------------------------------------------------

    def _counts(self, name: str, outcome: Outcome | None) -> dict[str, int]:
        return {
            "read": self._read[name],
            "stored": outcome.stored if outcome else 0,
            "duplicates": outcome.duplicates if outcome else 0,
            "quarantined": self._quarantined[name],
        }

    def _warnings(self) -> list[str]:
        if not self._unknown:
            return []
        names = list(self._unknown)
        more = f" and {len(names) - _NAMED_IN_WARNING} more" if len(names) > _NAMED_IN_WARNING else ""
        shown = ", ".join(name[:80] for name in names[:_NAMED_IN_WARNING])
        return [f"Left out, because the contract does not have these columns: {shown}{more}."]
