"""The evaluation through the installed command, on a small simulated world whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from process import Ringwatch

GROUPS = {"network", "device", "payment", "prompts", "signup"}
FIGURES = {"recovery", "precision_at_k", "pairwise_f1", "auprc"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def world(folder: Path) -> Ringwatch:
    """A workspace with one batch and one run; tests only read it. Its drop is `folder / "drop"`."""
    command = Ringwatch(folder / "workspace")
    command.run(
        "simulate", "easy", "--output", folder / "drop", "--seed", "301", "--accounts", "1500", "--prevalence", "0.1"
    )
    command.run("init")
    command.run("ingest", folder / "drop")
    command.run("detect", "--no-labels", "--seed", "1")
    return command


@pytest.fixture(scope="module")
def labels(world: Ringwatch, folder: Path) -> Path:
    return folder / "drop" / "truth" / "labels.parquet"


def _values(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: figure["value"] for name, figure in figures.items()}


def _state(world: Ringwatch) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_mtime_ns) for path in world.workspace.rglob("*") if path.is_file()}


def test_an_ablation_stands_beside_the_run_and_commits_nothing(world: Ringwatch, labels: Path) -> None:
    before = _state(world)
    plain = world.json("evaluate", "--labels", labels)
    assert "ablation" not in plain
    done = world.run("evaluate", "--labels", labels, "--ablate", "--json")
    assert _state(world) == before
    assert "stage=prompts:left out" in done.stderr
    document = done.document
    ablation = document.pop("ablation")
    assert document == plain
    assert set(plain["lookalikes"]) == {"clusters", "of_one_group", "named"}
    by_group = {one["group"]: one for one in ablation}
    assert set(by_group) >= GROUPS
    whole = _values(document["clusters"])
    for one in ablation:
        assert set(one) == {"group", "left_out", "alone"}
        assert set(one["left_out"]) == set(one["alone"]) == FIGURES
        assert set(one["alone"]["auprc"]) == {"value", "low", "high"}
    assert _values(by_group["prompts"]["left_out"])["recovery"] < whole["recovery"]
    assert max(_values(one["alone"])["recovery"] for one in ablation) < whole["recovery"]
    text = world.run("evaluate", "--labels", labels, "--ablate", "--quiet").stdout
    assert text.count("(all layers)") == 2


def test_a_rehearsal_finds_what_the_run_found(world: Ringwatch) -> None:
    from ringwatch.pipeline import load_run, rehearse_run
    from ringwatch.workspace import Workspace

    workspace = Workspace.open(world.workspace)
    run = load_run(workspace)
    with rehearse_run(workspace, run.record) as rehearsal:
        for found in (rehearsal.detect(), rehearsal.detect()):
            assert found.members.equals(run.members)
            assert found.scores.equals(run.scores)
            assert found.clusters["digest"].tolist() == run.clusters["digest"].tolist()


def test_calibration_is_of_pairs_that_the_run_weighed(world: Ringwatch, labels: Path) -> None:
    before = _state(world)
    found = world.json("evaluate", "--labels", labels, "--calibration")["calibration"]
    assert _state(world) == before
    assert set(found) == {"pairs", "standing", "strict", "layers", "kinds"}
    pairs = found["pairs"]
    assert sum(one["pairs"] for one in pairs["bins"]) == pairs["pairs"]
    assert sum(one["pairs"] for one in found["layers"]) <= pairs["pairs"]
    assert sum(one["pairs"] for one in found["kinds"]) == pairs["pairs"]
    assert found["strict"]["right"]["value"] < pairs["right"]["value"]
    assert found["standing"]["claimed"]["value"] > 0.5 > pairs["claimed"]["value"]
    assert {"device", "payment", "prompt_family"} <= {one["layer"] for one in found["layers"]}
    right = {one["kind"] for one in found["kinds"]}
    assert {"different", "shared_cards", "benign company"} <= right
    text = world.run("evaluate", "--labels", labels, "--calibration").stdout
    assert "edges that stand" in text
    assert "strongest: device" in text
