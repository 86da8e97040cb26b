"""While a batch is on its way, in as little memory as may be configured, no file beside it holds a raw value."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ringwatch import ingest
from ringwatch.config import make_config
from ringwatch.metrics import Stopwatch
from ringwatch.workspace import Workspace

ROWS = 1_500_000
# The stubs of pyarrow do not know what most kernels return.
_kernels: Any = pc
MARKS = (b"plantedprompt", b"planted-device", b"203.0.113.", b"planted@mail")


class Watcher(threading.Thread):
    """Reads whatever appears below a folder, again and again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._over = threading.Event()
        self.seen: set[str] = set()
        self.hits: set[str] = set()

    def run(self) -> None:
        while not self._over.is_set():
            for path in self._folder.rglob("*"):
                try:
                    data = path.read_bytes() if path.is_file() else b""
                except OSError:  # gone meanwhile
                    continue
                if data:
                    self.seen.add(path.name)
                    self.hits |= {path.name for mark in MARKS if mark in data}
            self._over.wait(0.05)

    def stop(self) -> None:
        self._over.set()
        self.join()


@pytest.fixture(scope="module")
def drop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drop")
    random_ = random.Random(5)
    numbers = pa.array(random_.sample(range(10**9), ROWS)).cast(pa.string())

    def prefixed(prefix: str, values: Any = numbers) -> Any:
        return _kernels.binary_join_element_wise(prefix, values, "")

    table = {
        "event_id": prefixed("e"),
        "ts": pa.repeat("2026-03-01T10:00:00Z", ROWS),
        "account_id": prefixed("a", _kernels.utf8_slice_codeunits(numbers, 0, 5)),
        "kind": pa.repeat("chat", ROWS),
        "ip": prefixed("203.0.113.", _kernels.utf8_slice_codeunits(numbers, 0, 2)),
        "device_id": prefixed("planted-device-", _kernels.utf8_slice_codeunits(numbers, 0, 6)),
        "prompt": _kernels.if_else(_kernels.starts_with(numbers, "1"), prefixed("plantedprompt "), None),
    }
    pq.write_table(pa.table(table), folder / "events.parquet")
    return folder


def test_what_spills_is_hashed(tmp_path: Path, drop: Path) -> None:
    workspace = Workspace.create(tmp_path / "workspace", make_config(memory_mb=256))
    folder = workspace.staging_dir / "batch"
    watcher = Watcher(workspace.root)
    watcher.start()
    try:
        report = ingest.stage_batch(
            workspace, workspace.current(), [drop], mode="discard-row", folder=folder, batch_id="b", watch=Stopwatch()
        )
    finally:
        watcher.stop()
    assert report.stored + report.quarantined == ROWS
    assert any(name.startswith("duckdb_temp") for name in watcher.seen), "nothing was spilled: the test saw nothing"
    assert watcher.hits == set()
    assert [path.name for path in workspace.staging_dir.iterdir()] == ["batch"]
    for path in folder.iterdir():
        assert not [mark for mark in MARKS if mark in path.read_bytes()], path.name
