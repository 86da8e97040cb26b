"""The evaluation through the installed command, on a small simulated world whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from process import Done

from ringwatch.cli.evaluate import _show_ablation
from ringwatch.evaluation import Ablation, Estimate
from ringwatch.graphs.clusters import BESIDES
from ringwatch.pipeline import load_run, rehearse_run
from ringwatch.workspace import Workspace

from ..command import Ringwatch, small_world

GROUPS = {"network", "device", "payment", "prompts", "signup"}
FIGURES = {"recovery", "precision_at_k", "pairwise_f1", "auprc"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def world(folder: Path) -> Ringwatch:
    """Tests only read it."""
    return small_world(folder, 301)


@pytest.fixture(scope="module")
def labels(world: Ringwatch, folder: Path) -> Path:
    return folder / "drop" / "truth" / "labels.parquet"


@pytest.fixture(scope="module")
def everything(world: Ringwatch, labels: Path, folder: Path) -> tuple[Done, str]:
    """`evaluate` with all that can be asked of it as a document, and with what takes no run again as a page."""
    wishes = ("evaluate", "--labels", labels, "--peers", "--calibration")
    before = _state(world)
    done = world.run(*wishes, "--ablate", "--json", "--plot", folder / "plot.svg")
    assert _state(world) == before, "it commits nothing"
    return done, world.run(*wishes, "--quiet").stdout


def _state(world: Ringwatch) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_mtime_ns) for path in world.workspace.rglob("*") if path.is_file()}


def _values(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: figure["value"] for name, figure in figures.items()}


def test_what_is_asked_for_is_added_and_changes_nothing_else(
    world: Ringwatch, labels: Path, everything: tuple[Done, str]
) -> None:
    plain = world.json("evaluate", "--labels", labels)
    document = everything[0].document
    assert set(document) - set(plain) == {"peers", "calibration", "ablation"}
    assert {name: document[name] for name in plain} == plain
    assert set(plain["lookalikes"]) == {"clusters", "of_one_group", "named"}
    assert plain["clusters"]["fragmentation"]["value"] >= 1


def test_an_ablation_leaves_each_layer_out_and_alone(everything: tuple[Done, str]) -> None:
    done, _ = everything
    assert "stage=prompts:left out" in done.stderr
    by_group = {one["group"]: one for one in done.document["ablation"]}
    assert set(by_group) >= GROUPS
    whole = _values(done.document["clusters"])["recovery"]
    for group in BESIDES:
        one = by_group.pop(group)
        assert one["alone"] is None, "it ties nobody"
        assert _values(one["left_out"])["recovery"] == pytest.approx(whole), "it moves no member"
    for one in by_group.values():
        assert set(one) == {"group", "left_out", "alone"}
        assert set(one["left_out"]) == set(one["alone"]) == FIGURES
        assert set(one["alone"]["auprc"]) == {"value", "low", "high"}
        assert _values(one["alone"])["recovery"] < whole
    assert _values(by_group["prompts"]["left_out"])["recovery"] < whole
    alone = {group: _values(one["alone"])["recovery"] for group, one in by_group.items()}
    assert min(alone["network"], alone["prompts"], alone["payment"]) > 0.05, "each finds a part by itself"


def test_an_ablation_is_told_by_what_is_left_out_and_by_what_is_alone() -> None:
    one = {name: Estimate(0.25, 0.0, 1.0) for name in FIGURES}
    report: Any = SimpleNamespace(clusters={**one, "more": one["recovery"]}, accounts=one)
    told: Any = SimpleNamespace(tables=[], line=lambda: None)
    told.table = lambda columns, rows, right: told.tables.append((columns, rows))
    _show_ablation(told, report, (Ablation("network", one, one), Ablation("standing", one, None)))
    assert [(columns[0], [row[0] for row in rows]) for columns, rows in told.tables] == [
        ("without", ["(all layers)", "network", "standing"]), ("alone", ["(all layers)", "network"]),
    ]  # fmt: skip
    assert {cell for _, rows in told.tables for row in rows for cell in row[1:]} == {"0.250"}


def test_calibration_is_of_pairs_that_the_run_weighed(everything: tuple[Done, str], folder: Path) -> None:
    done, page = everything
    found = done.document["calibration"]
    assert set(found) == {"pairs", "standing", "grouped", "strict", "layers", "kinds", "clusters"}
    assert {name: one["clusters"] > 10 for name, one in found["clusters"].items()} == {
        "score": True,
        "coordination": True,
    }
    pairs = found["pairs"]
    assert sum(one["pairs"] for one in pairs["bins"]) == pairs["pairs"]
    assert sum(one["pairs"] for one in found["layers"]) <= pairs["pairs"]
    assert sum(one["pairs"] for one in found["kinds"]) == pairs["pairs"]
    assert found["strict"]["right"]["value"] < pairs["right"]["value"] < found["grouped"]["right"]["value"]
    assert found["standing"]["claimed"]["value"] > 0.5 > pairs["claimed"]["value"]
    assert {"device", "payment", "prompt_family"} <= {one["layer"] for one in found["layers"]}
    assert {"different", "shared_cards", "benign company"} <= {one["kind"] for one in found["kinds"]}
    assert "edges that stand" in page
    assert "strongest: device" in page
    assert "as claimed" in (folder / "plot.svg").read_text(encoding="utf-8")


def test_peers_stand_beside_the_run(everything: tuple[Done, str]) -> None:
    done, page = everything
    document = done.document
    peers = {one["name"]: one for one in document["peers"]}
    assert list(peers) == ["connected components", "Louvain", "Leiden", "label propagation"]
    for one in peers.values():
        assert set(one["clusters"]) == FIGURES - {"auprc"}
        assert [kind["kind"] for kind in one["kinds"]] == [kind["kind"] for kind in document["kinds"]]
        assert 0 < one["clusters"]["recovery"]["value"] < document["clusters"]["recovery"]["value"]
    assert "label propagation" in page
    assert "recovery of slow_chain" in page


def test_a_plot_goes_where_it_can(world: Ringwatch, labels: Path, tmp_path: Path) -> None:
    for wish in (("--calibration", "--plot", tmp_path / "plot.png"), ("--plot", tmp_path / "plot.svg")):
        assert world.call("evaluate", "--labels", labels, *wish).code == 2
    assert world.call("evaluate", "--labels", labels, "--calibration", "--plot", tmp_path / "no" / "p.svg").code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_rehearsal_finds_what_the_run_found(world: Ringwatch) -> None:
    workspace = Workspace.open(world.workspace)
    run = load_run(workspace)
    with rehearse_run(workspace, run.record) as rehearsal:
        for found in (rehearsal.detect(), rehearsal.detect()):
            assert found.members.equals(run.members)
            assert found.scores.equals(run.scores)
            assert found.clusters["digest"].tolist() == run.clusters["digest"].tolist()


def test_a_replay_finds_operations_in_the_course_of_time(world: Ringwatch, labels: Path, tmp_path: Path) -> None:
    before = _state(world)
    wishes = ("replay", "--labels", labels, "--every", "3w", "--from", "2026-05-20")
    document = world.json(*wishes, "--plot", tmp_path / "delays.svg")
    assert _state(world) == before, "it commits nothing"
    moments, operations = document["moments"], document["operations"]
    assert [one["as_of"][:10] for one in moments] == ["2026-05-20", "2026-06-10", "2026-06-28"]
    assert [one["accounts"] for one in moments] == sorted(one["accounts"] for one in moments)
    last = world.json("evaluate", "--labels", labels)["clusters"]
    for name in ("recovery", "precision_at_k"):
        assert moments[-1][name] == pytest.approx(last[name]["value"], abs=0.05), "but for the names and the seed"
    found = [one for one in operations if one["found_at"]]
    assert found and len(operations) == moments[-1]["groups"]
    for one in operations:
        assert 0 <= one["harmful_before"] <= one["harmful"]
        assert one["found_at"] is None or one["flagged_at"] <= one["found_at"]
    assert document["shares"]["never_found"]["value"] == pytest.approx(1 - len(found) / len(operations), abs=1e-6)
    assert set(document["delays"]) == {"days_to_found", "days_to_flagged", "days_from_harm"}
    assert "<polyline" in (tmp_path / "delays.svg").read_text(encoding="utf-8")
    # Whatever comes after the last event, it is the last moment.
    late = ("--from", "2026-06-28", "--to", "9999-12-31", "--quiet")
    assert "never found" in world.run("replay", "--labels", labels, *late).stdout
    for wrong in (("--from", "2027-01-01"), ("--every", "soon"), ("--to", "2020-01-01")):
        assert world.call("replay", "--labels", labels, *wrong).code == 2


def test_evasion_writes_a_curve_for_each_knob(tmp_path: Path) -> None:
    command = Ringwatch(tmp_path / "none")
    wishes = ("evasion", "--output", tmp_path / "curves", "--knobs", "cell", "--accounts", "400", "--seed", "302")
    done = command.run(*wishes, "--json")
    assert "stage=cell=3 world=302" in done.stderr
    document = done.document
    assert [one["level"] for one in document["curves"]] == [0, 8, 5, 3]
    assert sorted(path.name for path in (tmp_path / "curves").iterdir()) == [
        "cell.svg", "curves.csv", "curves.json", "worlds.csv",
    ]  # fmt: skip
    stored = json.loads((tmp_path / "curves" / "curves.json").read_text(encoding="utf-8"))
    assert {name: document[name] for name in stored} == stored
    assert not command.workspace.exists()
    for wrong in (("--output", tmp_path / "curves"), ("--output", tmp_path / "new", "--knobs", "luck")):
        assert command.call("evasion", *wrong).code == 2
    assert not (tmp_path / "new").exists()
