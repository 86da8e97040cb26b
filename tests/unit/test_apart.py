"""Raw values are read by a process of its own, which gives back a report or an error, and dies with its caller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from ringwatch import ingest
from ringwatch.errors import DataError, RingwatchError
from ringwatch.ingest import dedupe
from ringwatch.ingest.apart import run_apart
from ringwatch.ingest.normalise import passes_luhn
from ringwatch.metrics import Stopwatch


def _stage(ingester: Any, workspace: Any, path: Path, mode: ingest.Mode = "discard-row") -> tuple[Any, Stopwatch]:
    watch = Stopwatch()
    folder = workspace.staging_dir / "batch"
    report = ingest.stage_batch(
        workspace, workspace.current(), [path], mode=mode, folder=folder, batch_id="batch", watch=watch
    )
    return report, watch


def test_a_batch_comes_back_with_its_report_and_its_seconds(ingester: Any, event: Any) -> None:
    path = ingester.file("events.csv", [event(1), event(2, ts="never")])
    workspace = ingester.workspace()
    report, watch = _stage(ingester, workspace, path)
    assert (report.stored, report.quarantined) == (1, 1)
    assert {"find", "read", "tokens", "judge", "dedupe", "write"} <= set(watch.stages)
    names = sorted(path.name for path in (workspace.staging_dir / "batch").iterdir())
    assert names == ["events.parquet", "quarantine.bin", "report.json", "vault.bin"]


def test_errors_come_back_whole(ingester: Any, event: Any) -> None:
    with pytest.raises(ingest.FrozenError, match="bad_time 1") as frozen:
        _stage(ingester, ingester.workspace(), ingester.file("events.csv", [event(1, ts="never")]), "freeze")
    assert frozen.value.report.violations == {"bad_time": 1}
    with pytest.raises(DataError, match="lacks the required column") as caught:
        _stage(ingester, ingester.workspace(), ingester.file("events.csv", [{"event_id": "e"}]))
    assert caught.value.hint.startswith("Table events needs")
    assert caught.value.exit_code == 3


def test_what_does_not_fit_into_memory_is_settled_apart(
    ingester: Any, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        event(n % 40, ip=f"81.2.3.{n % 7}", account_id=f"a{n % 41}", prompt=f"words of {n % 5}") for n in range(60)
    ]
    path = ingester.file("events.csv", rows)
    first = ingester.workspace()
    report = ingester.ingest(first, path)
    assert report.violations == {"event_conflict": 20}
    monkeypatch.setattr(dedupe, "_ROW_BYTES", 1 << 40)
    twin = ingester.workspace(keys_from=first)
    assert ingester.ingest(twin, path).violations == report.violations
    assert ingester.log(twin) == ingester.log(first)


def test_no_module_of_the_current_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "phonenumbers.py").write_text("open('taken', 'w')")
    monkeypatch.chdir(tmp_path)
    assert run_apart(passes_luhn, "18"), "which is beside what imports phonenumbers"
    assert not (tmp_path / "taken").exists()


def test_a_process_that_is_ended_is_one_sentence() -> None:
    with pytest.raises(RingwatchError, match="was ended from outside"):
        run_apart(os._exit, 9)


def test_the_process_ends_with_its_caller() -> None:
    code = "import time; from ringwatch.ingest.apart import run_apart; run_apart(time.sleep, 600)"
    with subprocess.Popen([sys.executable, "-c", code]) as caller:
        deadline = time.monotonic() + 60
        children: list[psutil.Process] = []
        while not children and time.monotonic() < deadline:
            children = psutil.Process(caller.pid).children()
        time.sleep(2)  # it has read its job by then; if not, its stdin ends all the same
        caller.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(children, timeout=60)
    assert len(gone) == 1
    assert alive == []
