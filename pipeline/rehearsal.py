"""Detection as a rehearsal: on the log as it was known at a moment, as often as wanted, and nothing is committed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import duckdb

from ringwatch.clock import now, parse_time
from ringwatch.graphs import Detection, Gathered, Model, detect, gather, weigh
from ringwatch.ingest import EventLog
from ringwatch.metrics import Stopwatch
from ringwatch.pipeline.detect import untimed_rows
from ringwatch.pipeline.runs import RunRecord
from ringwatch.pipeline.stores import log_connection
from ringwatch.workspace import Current, Workspace


@dataclass(frozen=True)
class Rehearsal:
    """The views of the log in `con`, and what a run on them would find. Clusters are named as in a first run.

    What the log says is gathered once, when it is first asked for.
    """

    workspace: Workspace
    con: duckdb.DuckDBPyConnection
    as_of: datetime | None
    seed: int
    labels: bool
    batches: Sequence[str] | None
    watch: Stopwatch

    @cached_property
    def gathered(self) -> Gathered:
        return gather(self.con, declared=self._declared, tool_key=self._tool_key, watch=self.watch)

    @property
    def untimed(self) -> dict[str, int]:
        """Rows that have no time, by table; every moment sees them."""
        return untimed_rows(self.con)

    def weigh(self) -> Model:
        """The candidate pairs and their bits."""
        return weigh(self.gathered, seed=self.seed, watch=self.watch)

    def detect(self, *, without: Collection[str] = (), model: Model | None = None) -> Detection:
        """All of a run, without the groups of layers named, or what clusters are told by besides; on pairs that are
        weighed as `model` has them, where it is given."""
        return detect(
            self.con,
            declared=self._declared,
            tool_key=self._tool_key,
            seed=self.seed,
            use_labels=self.labels,
            previous=None,
            run_id="rehearsal",
            created_at=now(),
            as_of=self.as_of,
            watch=self.watch,
            gathered=self.gathered,
            model=model,
            without=without,
        )

    @property
    def _declared(self) -> tuple[str, ...]:
        return self.workspace.config.entity_types

    @property
    def _tool_key(self) -> bytes:
        return self.workspace.secret("signatures")


@contextmanager
def rehearse(
    workspace: Workspace,
    *,
    as_of: datetime | None = None,
    seed: int = 0,
    labels: bool = False,
    batches: Sequence[str] | None = None,
    watch: Stopwatch | None = None,
) -> Iterator[Rehearsal]:
    """Opens the log as known at `as_of`, all committed batches unless some are named. Writers go on beside it."""
    with log_connection(workspace) as con:
        EventLog(workspace, workspace.current()).attach(con, as_of=as_of, batches=batches)
        yield Rehearsal(workspace, con, as_of, seed, labels, batches, watch or Stopwatch())


def seen_batches(current: Current, record: RunRecord) -> list[str]:
    """The batches that a run saw, as they are called now: a rotation of keys renames them behind their number."""
    seen = {batch.partition("-")[0] for batch in record.batches}
    return [batch for batch in current.batches if batch.partition("-")[0] in seen]


@contextmanager
def rehearse_run(workspace: Workspace, record: RunRecord, *, watch: Stopwatch | None = None) -> Iterator[Rehearsal]:
    """Opens the log as a run saw it, to be detected on by the same seed and with the same use of labels."""
    as_of = parse_time(record.as_of) if record.as_of else None
    with (
        workspace.reading() as current,
        rehearse(
            workspace, as_of=as_of, seed=record.seed, labels=record.labels,
            batches=seen_batches(current, record), watch=watch,
        ) as rehearsal,
    ):  # fmt: skip
        yield rehearsal
