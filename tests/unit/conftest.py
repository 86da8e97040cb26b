"""What several unit tests need: drops ingested into workspaces without the command, and the log they leave."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import scipy.sparse as sp
from drops import encode, write_drop

from ringwatch import ingest
from ringwatch.config import make_config
from ringwatch.gnn.graph import Direct, Graph, Through
from ringwatch.gnn.labels import ABUSIVE, BENIGN, UNKNOWN, Labels
from ringwatch.graphs.scores import drawn_together
from ringwatch.ingest.batch import Job, stage_here
from ringwatch.ingest.contract import TABLE_NAMES
from ringwatch.metrics import Stopwatch
from ringwatch.workspace import Workspace

from .reviewing import HOSTILE, Office, make_office

LOGGED = (*TABLE_NAMES, "prompts", "tokens")


class Ingester:
    """Workspaces in a folder, and what goes into them and comes out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)

    def workspace(self, *, keys_from: Workspace | None = None, **settings: object) -> Workspace:
        """A new workspace; a declared entity type `wallet`, unless `settings` say otherwise."""
        config = make_config(**{"entity_types": ("wallet",), **settings})
        return Workspace.create(self.folder / f"workspace{next(self._numbers)}", config, keys_from=keys_from)

    def drop(self, tables: Mapping[str, Sequence[Mapping[str, Any]]], form: str = "csv") -> Path:
        """A drop of the tables in a new folder."""
        return write_drop(self.folder / f"drop{next(self._numbers)}", tables, form)

    def file(self, name: str, data: bytes | str | Sequence[Mapping[str, Any]]) -> Path:
        """A file of the given name in a new folder; rows are encoded as its name says."""
        folder = self.folder / f"drop{next(self._numbers)}"
        folder.mkdir()
        if isinstance(data, str):
            data = data.encode()
        elif not isinstance(data, bytes):
            data = encode(data, name.partition(".")[2])
        (folder / name).write_bytes(data)
        return folder / name

    def ingest(self, workspace: Workspace, *drops: Path, mode: ingest.Mode = "discard-row") -> ingest.IngestReport:
        """Stages and commits a batch; every report must add up."""
        current = workspace.current()
        batch = f"batch-{len(current.batches) + 1}"
        folder = workspace.staging_dir / batch
        try:
            report, _ = stage_here(Job(workspace, current, drops, mode, folder, batch, Stopwatch()))
        except BaseException:
            assert list(workspace.staging_dir.iterdir()) == [], "a refused batch leaves nothing"
            raise
        assert list(workspace.staging_dir.iterdir()) == [folder]
        assert report.read == report.stored + report.duplicates + report.quarantined
        for what in ("read", "stored", "duplicates", "quarantined"):
            assert sum(table[what] for table in report.tables.values()) == getattr(report, what)
        folder.rename(workspace.log_dir / batch)
        workspace.commit(current.with_(batches=(*current.batches, batch)))
        return report

    def log(self, workspace: Workspace) -> dict[str, list[str]]:
        """Every row of every table as the log gives it, sorted."""
        with duckdb.connect() as con:
            ingest.EventLog(workspace, workspace.current()).attach(con)
            return {
                table: sorted(row[0] for row in con.execute(f"SELECT to_json(t)::VARCHAR FROM {table} t").fetchall())
                for table in LOGGED
            }

    def rows(self, workspace: Workspace, table: str) -> list[dict[str, Any]]:
        """The rows of one table of the log."""
        return [json.loads(row) for row in self.log(workspace)[table]]

    def reasons(self, workspace: Workspace) -> dict[str, int]:
        """Reasons of all that is in quarantine."""
        total: dict[str, int] = {}
        for batch in ingest.list_quarantine(workspace, workspace.current()):
            for reason, rows in batch.reasons.items():
                total[reason] = total.get(reason, 0) + rows
        return total


@pytest.fixture(scope="session")
def ingester_at() -> type[Ingester]:
    """For tests that make a folder for every example."""
    return Ingester


@pytest.fixture
def ingester(tmp_path: Path) -> Ingester:
    return Ingester(tmp_path)


@pytest.fixture
def event() -> Callable[..., dict[str, Any]]:
    """Makes a good event with other columns."""

    def make(number: int = 1, **columns: Any) -> dict[str, Any]:
        return {
            "event_id": f"e{number}", "ts": "2026-03-01T10:00:00Z", "account_id": "a", "kind": "chat", **columns,
        }  # fmt: skip

    return make


@pytest.fixture
def make_graph() -> Callable[..., tuple[Graph, Labels]]:
    """Makes a graph of 1,200 accounts with 24 operations, half of which have half of their members labelled.

    `base` sees two thirds of the members, own columns see others, and members of one operation are tied.
    """

    def make(seed: int = 0, *, known: float = 0.5) -> tuple[Graph, Labels]:
        rng = np.random.default_rng(seed)
        n, operations, size = 1200, 24, 6
        operation = np.full(n, -1)
        operation[rng.permutation(n)[: operations * size]] = np.repeat(np.arange(operations), size)
        member = operation >= 0
        base = rng.normal(-5, 1, n) + 5.0 * (member & (rng.random(n) < 0.66))
        own = rng.normal(size=(n, 4)) + 1.5 * member[:, None] * np.array([1, 0.6, 0, 0])
        src, dst = np.nonzero((operation[:, None] == operation[None, :]) & member[:, None])
        noise = rng.integers(0, n, (2, 900))
        src, dst = np.r_[src, noise[0], noise[1]], np.r_[dst, noise[1], noise[0]]
        keep = src != dst
        weight = rng.uniform(0.5, 1, keep.sum()).astype(np.float32)
        tie = sp.csr_matrix((weight, (src[keep], dst[keep])), shape=(n, n))
        account, entity = np.arange(n), rng.integers(0, 300, n)
        entity[member] = 300 + operation[member]
        ip = Through(
            "ip",
            account,
            entity,
            rng.uniform(0, 6, 300 + operations),
            n,
            rng.normal(size=(300 + operations, 2)).astype(np.float32),
        )
        features = np.column_stack([own, base]).astype(np.float32)
        graph = Graph(
            np.array([f"a{i:04d}" for i in range(n)], dtype=object),
            features,
            ("x_0", "x_1", "x_2", "x_3", "base"),
            (Direct("tie", tie), ip),
            base,
            (0, 1, 4),
            4,
        )
        looked_at = member & (operation < operations / 2) & (rng.random(n) < known)
        label = np.where(looked_at, ABUSIVE, UNKNOWN).astype(np.int8)
        label[rng.choice(np.flatnonzero(~member), 20, replace=False)] = BENIGN
        unit = drawn_together(np.where(looked_at, operation, -1), operation)
        truth = Labels(label, unit, np.where(label >= 0, 0.0, np.nan))
        make.member, make.unseen = member, member & (operation >= operations / 2)  # type: ignore[attr-defined]
        return graph, truth

    return make


@pytest.fixture(scope="session")
def made_office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return make_office(tmp_path_factory.mktemp("office"))


@pytest.fixture
def office(made_office: Office, tmp_path: Path) -> Office:
    """An office of the test's own."""
    return made_office.copy(tmp_path / "workspace")


@pytest.fixture(scope="session")
def made_pages(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return make_office(tmp_path_factory.mktemp("pages"), hostile=HOSTILE)


@pytest.fixture
def pages(made_pages: Office, tmp_path: Path) -> Office:
    """An office of the test's own, in which half of the first cluster has names that would act on a page."""
    return made_pages.copy(tmp_path / "workspace")
