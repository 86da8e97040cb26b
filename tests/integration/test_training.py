"""From labels to scores through the installed command, on a small simulated world whose truth is known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from people import enrol_all

from ringwatch.gnn import load_model
from ringwatch.pipeline import load_run
from ringwatch.review import (
    Action,
    Decision,
    Role,
    decide,
    load_book,
    open_cases,
    propose,
)
from ringwatch.workspace import Workspace

from ..command import Ringwatch

MODELS = ("--models", "trees,belief,graph-trees,propagation")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def truth(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "drop" / "truth" / "labels.parquet")


@pytest.fixture(scope="module")
def world(folder: Path) -> Ringwatch:
    """A workspace with half of the operations' members as labels, in two batches, and a model of the first."""
    command = Ringwatch(folder / "workspace")
    size = ("--accounts", "900", "--prevalence", "0.2")
    command.run("simulate", "medium", "--output", folder / "drop", "--seed", "302", *size)
    labels = pd.read_parquet(folder / "drop" / "truth" / "labels.parquet")
    rng = np.random.default_rng(0)
    groups = sorted(labels["group_id"].dropna().unique())
    half = labels[labels["group_id"].isin(groups[::2]) & (rng.random(len(labels)) < 0.5)]
    benign = labels[labels["label"] == "benign"].sample(40, random_state=0)
    (folder / "first").mkdir()
    pd.concat([half, benign]).to_parquet(folder / "first" / "labels.parquet", index=False)
    rest = labels[labels["group_id"].isin(groups[1::4])].assign(
        labelled_at=lambda frame: frame["labelled_at"] + pd.Timedelta(days=30)
    )
    (folder / "second").mkdir()
    rest.to_parquet(folder / "second" / "labels.parquet", index=False)
    command.init()
    command.run("ingest", folder / "drop")
    command.run("ingest", folder / "first")
    return command


@pytest.fixture(scope="module")
def trained(world: Ringwatch) -> dict[str, object]:
    return world.json("train", "--seed", "1", *MODELS)


def test_training_registers_and_promotes_the_first_model(world: Ringwatch, trained: dict[str, object]) -> None:
    assert trained["promoted"] is True
    assert {"model_id", "metrics", "baseline_metrics", "labels"} <= set(trained)
    listed = world.json("models", "list")["models"]
    assert [(one["model_id"], one["promoted"]) for one in listed] == [(trained["model_id"], True)]
    card = world.json("models", "show")
    assert card["model_id"] == trained["model_id"]
    assert card["winner"] in card["metrics"]
    assert set(card["shares"]) <= set(card["metrics"])
    place = world.workspace / "models" / str(trained["model_id"])
    assert {path.suffix for path in place.iterdir()} <= {".json", ".safetensors", ".parquet"}, "nothing that can run"
    assert "AUPRC" in world.run("models", "show").stdout


def test_the_same_log_and_seed_give_the_same_model(
    world: Ringwatch, trained: dict[str, object], folder: Path
) -> None:
    twin = Ringwatch(folder / "twin")
    shutil.copytree(world.workspace, twin.workspace)
    place = twin.workspace / "models" / str(trained["model_id"])
    before = {path.name: path.read_bytes() for path in place.iterdir() if path.name != "card.json"}
    twin.call("train", "--seed", "1", *MODELS, kill_after=0.7 * float(str(trained["seconds"])))
    again = twin.json("train", "--seed", "1", *MODELS)
    assert again["model_id"] == trained["model_id"]
    assert again["digest"] == trained["digest"]
    assert {path.name: path.read_bytes() for path in place.iterdir() if path.name != "card.json"} == before
    assert not list((twin.workspace / "training").glob("*")), "what a killed training left is used up"


def test_detection_scores_by_the_model_unless_it_is_told_not_to(
    world: Ringwatch, trained: dict[str, object], truth: pd.DataFrame, folder: Path
) -> None:
    unsupervised = world.json("detect", "--no-labels", "--seed", "1")
    assert unsupervised["model"] is None
    world.run("scores", "--output", folder / "plain.csv", "--intervals")
    run = world.json("detect", "--seed", "1")
    assert run["model"] == trained["model_id"]
    assert max(run["drift"].values()) < 0.3, "nothing has moved since training"
    world.run("scores", "--output", folder / "scores.csv", "--intervals")
    plain, scores = (pd.read_csv(folder / name).set_index("account_id") for name in ("plain.csv", "scores.csv"))
    assert not plain["calibrated"].any()
    assert plain[["low", "high"]].isna().all(axis=None)
    assert ((scores["low"] <= scores["score"]) & (scores["score"] <= scores["high"])).all()
    assert (scores["high"] - scores["low"]).max() > 0.05
    best = str(scores["score"].idxmax())
    why = world.json("explain", best, "--plot", folder / "why.svg")
    drawn = (folder / "why.svg").read_text()
    assert drawn.startswith("<svg") and why["reasons"][0]["theme"] in drawn
    assert scores["calibrated"].all()
    assert scores["score"].between(0, 1).all()
    assert len(scores) == len(plain) == len(truth)
    known = set(pd.read_parquet(folder / "first" / "labels.parquet")["account_id"])
    rest = truth[~truth["account_id"].isin(known)]
    positive = (rest["label"] == "abusive").to_numpy()
    score = scores["score"].reindex(rest["account_id"]).to_numpy()
    assert score[positive].mean() > 10 * score[~positive].mean()
    named = truth[truth["account_id"].isin(known)].set_index("account_id")["label"]
    own = scores["score"].reindex(named.index)
    assert own[named == "abusive"].min() > own[named == "benign"].max()


def test_the_doctor_sees_what_has_moved(world: Ringwatch, trained: dict[str, object], folder: Path) -> None:
    del trained
    moved = Ringwatch(folder / "moved")
    shutil.copytree(world.workspace, moved.workspace)
    # As many accounts again, of a sort that was never there.
    day = pd.Timestamp("2026-02-20", tz="UTC")
    rows = pd.DataFrame({"account_id": np.repeat([f"late{n}" for n in range(900)], 12)})
    rows["event_id"] = [f"late{n}" for n in range(len(rows))]
    rows["ts"] = day + pd.to_timedelta(np.arange(len(rows)) % 12, unit="min")
    rows = rows.assign(kind="api", refused=True, tokens=900_000, amount=1e6, harm="spam", harm_score=0.2)
    (folder / "late").mkdir()
    rows.to_parquet(folder / "late" / "events.parquet", index=False)
    moved.run("ingest", folder / "late")
    moved.json("detect", "--seed", "1")
    warned = next(one for one in moved.json("doctor")["checks"] if one["name"] == "model")
    assert warned["state"] == "warning"
    assert "has moved from what" in warned["text"]


def test_a_moment_before_the_labels_knows_no_model(world: Ringwatch, trained: dict[str, object]) -> None:
    del trained
    early = world.json("detect", "--seed", "1", "--as-of", "2026-01-20T00:00:00Z")
    assert early["model"] is None
    done = world.call("train", "--as-of", "2026-01-20T00:00:00Z", "--json")
    assert done.code == 2
    assert "too few to learn from" in json.loads(done.stdout)["error"]


def test_a_later_model_takes_over_only_by_labels_that_neither_saw(
    world: Ringwatch, trained: dict[str, object], folder: Path
) -> None:
    later = Ringwatch(folder / "later")
    shutil.copytree(world.workspace, later.workspace)
    unchanged = later.json("train", "--seed", "2", *MODELS)
    assert unchanged["promoted"] is False
    assert "too few new labels" in unchanged["why"]
    same = later.json("train", "--seed", "1", *MODELS)
    assert (same["promoted"], same["model_id"]) == (True, trained["model_id"])
    assert "in use already" in str(same["why"])
    later.run("ingest", folder / "second")
    second = later.json("train", "--seed", "1", *MODELS)
    assert "neither saw" in str(second["why"])
    listed = {one["model_id"]: one["promoted"] for one in later.json("models", "list")["models"]}
    assert sum(listed.values()) == 1
    assert len(listed) == 3
    later.run("models", "promote", str(unchanged["model_id"]))
    listed = {one["model_id"]: one["promoted"] for one in later.json("models", "list")["models"]}
    assert listed[str(unchanged["model_id"])] is True
    assert later.call("models", "promote", "m0").code == 2


def test_verdicts_move_the_next_training_and_who_was_excluded_stays_out(world: Ringwatch, folder: Path) -> None:
    heard = Ringwatch(folder / "heard")
    shutil.copytree(world.workspace, heard.workspace)
    heard.run("detect", "--no-labels", "--seed", "1")
    workspace = Workspace.open(heard.workspace)
    roles = {"root": Role.ADMIN, "ann": Role.ANALYST, "bob": Role.REVIEWER, "cyd": Role.REVIEWER}
    people = enrol_all(workspace, roles, "a passphrase")
    members = load_run(workspace).members
    given = set(pd.read_parquet(folder / "first" / "labels.parquet")["account_id"])
    fresh = [name for name, ids in members.groupby("cluster_id")["account_id"] if not given & set(ids)]
    ranked = [name for name in load_run(workspace).clusters["cluster_id"] if name in set(fresh)][:2]
    one, two = (case.case_id for case in open_cases(workspace, people["ann"], ranked).cases)
    out = str(members.loc[members["cluster_id"] == ranked[1], "account_id"].min())
    propose(workspace, people["ann"], [one], action=Action.SUSPEND, reason="a ring")
    propose(workspace, people["ann"], [two], action=Action.SUSPEND, reason="a ring", exclude={out: "a school"})
    decide(workspace, people["bob"], [one, two], Decision.APPROVE, reason="agreed")
    for case in (one, two):
        heard.run("takedown", "export", case, "--output", folder / case)

    def learnt() -> tuple[dict[str, int], pd.Series[float], frozenset[str]]:
        model = heard.json("train", "--seed", "1", "--models", "trees")
        heard.run("models", "promote", str(model["model_id"]))
        heard.run("detect", "--seed", "1")
        heard.run("scores", "--output", folder / "heard.csv")
        scores = pd.read_csv(folder / "heard.csv").set_index("account_id")["score"]
        return model["labels"], scores, load_model(workspace.models_dir / str(model["model_id"])).labelled

    counts, scores, known = learnt()
    decide(workspace, people["ann"], [one, two], Decision.APPEAL, reason="they wrote")
    decide(workspace, people["cyd"], [one], Decision.OVERTURN, reason="a school")
    decide(workspace, people["cyd"], [two], Decision.UPHOLD, reason="they are")
    after, moved, again = learnt()
    overturned, upheld = (list(load_book(workspace).case(case).actions) for case in (one, two))
    assert after["abusive"] == counts["abusive"] - len(overturned)
    assert after["benign"] == counts["benign"] + len(overturned)
    assert (moved[overturned] < scores[overturned]).all()
    assert moved[upheld].min() > moved[overturned].max()
    assert {*overturned, *upheld} <= known & again and out not in known | again


def test_a_network_scores_where_torch_is_not_installed(world: Ringwatch, folder: Path) -> None:
    pytest.importorskip("torch")
    place = Ringwatch(folder / "network")
    shutil.copytree(world.workspace, place.workspace)
    found = place.json("train", "--seed", "3", "--models", "trees,metapath")
    place.run("models", "promote", str(found["model_id"]))
    with_torch = place.json("detect", "--seed", "1")
    hidden = folder / "hidden"
    hidden.mkdir()
    (hidden / "torch.py").write_text("raise ImportError('no torch here')\n")
    path = f"{hidden}:{place.env.get('PYTHONPATH', '')}"
    bare = Ringwatch(place.workspace, PYTHONPATH=path)
    assert bare.json("detect", "--seed", "1")["digest"] == with_torch["digest"]
    refused = bare.call("train", "--models", "metapath", "--json")
    assert refused.code == 2
    assert "needs torch" in refused.stderr or "need torch" in refused.stderr
