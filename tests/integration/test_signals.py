"""Signals through the installed command: built, asked line by line, held to labels, and refused where need be."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from process import EXECUTABLE

from ..command import Ringwatch, small_world


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signals")


@pytest.fixture(scope="module")
def world(folder: Path) -> Ringwatch:
    """A workspace with a run; the last of its events are in `folder / "events.jsonl"`."""
    command = small_world(folder, 303)
    events = pd.read_parquet(folder / "drop" / "events.parquet").sort_values("ts").tail(400)
    events.to_json(folder / "events.jsonl", orient="records", lines=True, date_format="iso")
    return command


@pytest.fixture(scope="module")
def built(world: Ringwatch, folder: Path) -> dict[str, object]:
    return world.json("signals", "build", "--output", folder / "s.parquet")


def test_signals_are_built_and_said(world: Ringwatch, built: dict[str, object], folder: Path) -> None:
    table = pd.read_parquet(folder / "s.parquet")
    assert built["signals"] == len(table) > 0
    assert built["types"] == table["type"].value_counts().to_dict()
    assert (table["bits"] > 0).all()
    shown = world.run("signals", "build", "--output", folder / "again.parquet", "--quiet").stdout
    assert "signals of run" in shown
    assert (folder / "again.parquet").read_bytes() == (folder / "s.parquet").read_bytes()


def test_a_verdict_a_line_from_a_file_and_from_a_stream(
    world: Ringwatch, built: dict[str, object], folder: Path
) -> None:
    del built
    wishes = ("signals", "match", "--signals", folder / "s.parquet")
    lines = world.run(*wishes, folder / "events.jsonl").stdout.splitlines()
    verdicts = [json.loads(line) for line in lines]
    assert len(verdicts) == 400
    assert {"event_id", "account_id", "chance", "cluster_id", "reasons", "unread"} == set(verdicts[0])
    likely = [one for one in verdicts if one["chance"] >= 0.5]
    assert 0 < len(likely) < 400
    assert all(one["reasons"] for one in likely)
    few = world.json(*wishes, folder / "events.jsonl", "--min-chance", "0.5")
    assert few["verdicts"] == likely
    with subprocess.Popen(
        [EXECUTABLE, "--workspace", world.workspace, *wishes, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env=world.env,
    ) as stream:  # fmt: skip
        assert stream.stdin is not None and stream.stdout is not None
        for at, line in enumerate((folder / "events.jsonl").read_text(encoding="utf-8").splitlines()[:3]):
            print(line, file=stream.stdin, flush=True)
            assert json.loads(stream.stdout.readline()) == verdicts[at], "it answers before the stream ends"
        stream.stdin.close()
        assert stream.wait(30) == 0


def test_a_backtest_is_a_document_and_a_page(world: Ringwatch, folder: Path) -> None:
    labels = folder / "drop" / "truth" / "labels.parquet"
    wishes = ("signals", "backtest", "--labels", labels, "--window", "4w")
    document = world.json(*wishes)
    assert document["signals"] > 0
    assert {one["who"] for one in document["held"]} == {"newcomers", "of groups begun", "known before"}
    for one in document["held"]:
        assert 0 <= (one["met_benign"]["value"] or 0) <= 1
    known = next(one for one in document["held"] if (one["who"], one["chance"]) == ("known before", 0.5))
    assert known["met"]["value"] > known["met_benign"]["value"]
    assert "newcomers met with" in world.run(*wishes, "--quiet").stdout


def test_what_cannot_be_is_told_with_its_code(world: Ringwatch, built: dict[str, object], folder: Path) -> None:
    del built
    signals, events = folder / "s.parquet", folder / "events.jsonl"
    (folder / "odd.jsonl").write_text('{"event_id": "e1"}\n[1]\n', encoding="utf-8")
    refused: tuple[tuple[int, str, tuple[str | Path, ...]], ...] = (
        (2, "does not end in .parquet", ("build", "--output", folder / "s.csv")),
        (2, "There is no file", ("match", "--signals", folder / "none.parquet", events)),
        (2, "There is no file", ("match", "--signals", signals, folder / "none.jsonl")),
        (3, "Line 2 of", ("match", "--signals", signals, folder / "odd.jsonl")),
        (3, "holds no signals", ("match", "--signals", folder / "drop" / "events.parquet", events)),
        (2, "is not a span", ("backtest", "--labels", events, "--window", "soon")),
    )
    for code, says, wishes in refused:
        done = world.call("signals", *wishes)
        assert (done.code, says in done.stderr) == (code, True), done.stderr
    other = Ringwatch(folder / "other")
    other.run("init")
    done = other.call("signals", "match", "--signals", signals, events)
    assert done.code == 2
    assert "other keys" in done.stderr
    assert other.call("signals", "build", "--output", folder / "o.parquet").code == 2, "there is no run yet"
