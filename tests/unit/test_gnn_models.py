"""Every model learns what is planted, is the same for the same seed, and scores the same after it was kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import average_precision_score

from ringwatch.errors import RingwatchError, UsageError
from ringwatch.gnn import hetero_data
from ringwatch.gnn.checkpoint import Checkpoint
from ringwatch.gnn.drift import MOVED, SCORE, Profile
from ringwatch.gnn.graph import Direct, Graph, Through
from ringwatch.gnn.labels import ABUSIVE, UNKNOWN, Labels
from ringwatch.gnn.models import GRAPHLESS, MODELS, PROPAGATION, Fitted, Model
from ringwatch.gnn.models.propagation import Propagation, opinions
from ringwatch.gnn.models.torch_here import Replayed, pick_device
from ringwatch.gnn.neighbours import feature_blocks
from ringwatch.gnn.task import Task, full_view, make_task
from ringwatch.gnn.training import (
    BASELINES,
    DEFAULT,
    MIXTURE,
    MIXTURES,
    UNSUPERVISED,
    choose,
    train,
    with_own_labels,
)

Make = Callable[..., tuple[Graph, Labels]]


def _need(name: str) -> None:
    if name in ("metapath", "metapath-nnpu", "signed"):
        pytest.importorskip("torch")
        pytest.importorskip("torch_geometric")


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_learns_and_is_kept_without_code(name: str, make_graph: Make, tmp_path: Path) -> None:
    _need(name)
    graph, labels = make_graph()
    blocks = feature_blocks(graph)
    task = make_task(graph, blocks, labels, seed=0)
    fitted = MODELS[name].fit(task)
    view = full_view(graph, blocks, labels)
    score = fitted.score(view)
    rest = labels.label == UNKNOWN
    member = make_graph.member  # type: ignore[attr-defined]
    chance = member[rest].mean()
    quality = average_precision_score(member[rest], score[rest])
    alone = average_precision_score(member[rest], graph.base[rest])
    assert quality > 3 * chance
    if name not in GRAPHLESS:
        assert quality > alone - 0.01, "a model on top of the base is not worse than the base"
    fitted.save(tmp_path / name)
    again = MODELS[name].load(tmp_path / name)
    np.testing.assert_allclose(again.score(view), score, rtol=1e-5, atol=1e-5)
    kinds = {path.suffix for path in tmp_path.iterdir()}
    assert kinds <= {".json", ".safetensors"}
    twin = MODELS[name].fit(make_task(graph, blocks, labels, seed=0))
    np.testing.assert_array_equal(twin.score(view), score)


@pytest.mark.parametrize("name", ["graph-trees", "metapath", "signed"])
def test_neighbours_teach_what_the_account_itself_does_not_show(name: str, make_graph: Make) -> None:
    _need(name)
    graph, labels = make_graph(3)
    blocks = feature_blocks(graph)
    view = full_view(graph, blocks, labels)
    score = MODELS[name].fit(make_task(graph, blocks, labels, seed=0)).score(view)
    rest = labels.label == UNKNOWN
    member = make_graph.member  # type: ignore[attr-defined]
    alone = average_precision_score(member[rest], graph.base[rest])
    assert average_precision_score(member[rest], score[rest]) > alone + 0.02


@pytest.mark.parametrize("name", ["metapath", "metapath-nnpu", "signed"])
def test_a_gpu_learns_the_same_each_time_and_as_well_as_a_cpu(name: str, make_graph: Make) -> None:
    _need(name)
    try:
        device = pick_device("cuda")
    except UsageError:
        pytest.skip("there is no GPU that torch can use")
    graph, labels = make_graph()
    blocks = feature_blocks(graph)
    task, view = make_task(graph, blocks, labels, seed=0), full_view(graph, blocks, labels)
    cpu, gpu, again = (MODELS[name].fit(task, device=one).score(view) for one in ("cpu", device, device))
    np.testing.assert_array_equal(gpu, again)
    rest = labels.label == UNKNOWN
    member = make_graph.member[rest]  # type: ignore[attr-defined]
    assert average_precision_score(member, gpu[rest]) > average_precision_score(member, cpu[rest]) - 0.05


def test_steps_are_taken_on_every_batch_in_turn_where_nothing_is_recorded() -> None:
    torch = pytest.importorskip("torch")
    seen: list[list[int]] = []
    step = Replayed(lambda at: seen.append(at.tolist()), 2, "cpu")
    for at in torch.arange(5).split(2):
        step(at)
    assert seen == [[0, 1], [2, 3], [4]]


def test_a_damaged_model_is_refused_in_one_sentence(make_graph: Make, tmp_path: Path) -> None:
    graph, labels = make_graph()
    fitted = MODELS["graph-trees"].fit(make_task(graph, feature_blocks(graph), labels, seed=0))
    fitted.save(tmp_path / "graph-trees")
    (tmp_path / "graph-trees.trees.json").write_text("{}")
    with pytest.raises(RingwatchError, match="cannot be read"):
        MODELS["graph-trees"].load(tmp_path / "graph-trees")
    (tmp_path / "logistic.json").write_text("{}")
    (tmp_path / "logistic.safetensors").write_bytes(b"no tensors")
    with pytest.raises(RingwatchError, match="cannot be read"):
        MODELS["logistic"].load(tmp_path / "logistic")


def test_training_holds_out_operations_and_takes_no_worse_than_what_was_there(make_graph: Make) -> None:
    graph, labels = make_graph(5)
    names = ["logistic", "trees", "belief", "graph-trees", PROPAGATION]
    blocks = feature_blocks(graph)
    found = train(graph, blocks, labels, names=names, seed=0)
    assert set(found.metrics) == {UNSUPERVISED, *MIXTURES, *names}
    parts = MIXTURES.get(found.winner, (found.winner,))
    assert found.shares == {name: 1 / len(parts) for name in parts} and set(found.fitted) == {*parts} - {UNSUPERVISED}
    z = found.log_odds(full_view(graph, blocks, labels))
    member, unseen = make_graph.member, make_graph.unseen  # type: ignore[attr-defined]
    rest = labels.label == UNKNOWN
    assert average_precision_score(member[rest], z[rest]) > average_precision_score(member[rest], graph.base[rest])
    never = rest & (unseen | ~member)
    assert average_precision_score(member[never], z[never]) > average_precision_score(
        member[never], graph.base[never]
    )
    assert found.prior == pytest.approx(member[rest].mean(), rel=0.5)
    same = train(graph, blocks, labels, names=names, seed=0)
    np.testing.assert_array_equal(same.log_odds(full_view(graph, blocks, labels)), z)


def test_a_random_candidate_never_wins_and_a_clear_one_does(make_graph: Make) -> None:
    graph, labels = make_graph()
    rng = np.random.default_rng(0)
    noise = rng.normal(size=len(graph))
    held = {UNSUPERVISED: graph.base, "logistic": noise, MIXTURE: graph.base + 0.01 * noise}
    assert choose(held, labels, 0.05) == MIXTURE
    perfect = make_graph.member + 0.01 * noise  # type: ignore[attr-defined]
    assert choose({**held, "trees": perfect}, labels, 0.05) == "trees"
    assert choose({**held, "trees": held[MIXTURE]}, labels, 0.05, usual="trees") == "trees"


def test_too_few_labels_are_no_ground_to_learn_from(make_graph: Make) -> None:
    graph, labels = make_graph()
    one = replace(labels, label=np.where(labels.unit == labels.unit[labels.label == ABUSIVE][0], labels.label, -1))
    with pytest.raises(UsageError, match="too few"):
        train(graph, feature_blocks(graph), one, names=["logistic"], seed=0)
    with pytest.raises(UsageError, match="no model"):
        train(graph, feature_blocks(graph), labels, names=["oracle"], seed=0)


def test_names_fit_together() -> None:
    assert {*GRAPHLESS, *BASELINES, *DEFAULT, *itertools.chain(*MIXTURES.values())} - {UNSUPERVISED} <= set(MODELS)
    assert pick_device("cpu") == "cpu"


def test_an_own_label_settles_its_account(make_graph: Make) -> None:
    _, labels = make_graph()
    z = with_own_labels(np.zeros(len(labels)), labels)
    assert (z[labels.label == ABUSIVE] > 4).all()
    assert (z[labels.label == 0] < -4).all()
    assert not z[labels.label == UNKNOWN].any()
    assert not with_own_labels(np.zeros(len(labels)), None).any()


def test_drift_is_none_on_the_same_and_seen_on_what_moved(make_graph: Make) -> None:
    graph, _ = make_graph()
    score = graph.base
    profile = Profile.of(Profile.made(graph.names, graph.features, score).table())
    assert profile.index(graph.names, graph.features, score)["psi"].max() < 1e-9
    assert not profile.unlike(graph.names, graph.features).any()
    moved = graph.features.copy()
    moved[:, 2] += 3
    found = profile.index(graph.names, moved, score).set_index("name")["psi"]
    assert found.index[0] == graph.names[2]
    assert found.iloc[0] > MOVED
    assert found[SCORE] < 1e-9
    moved = graph.features.copy()
    moved[:5] = 1e6
    assert np.flatnonzero(profile.unlike(graph.names, moved)).tolist() == [0, 1, 2, 3, 4]


def test_a_share_that_a_few_values_are_of_moves_only_when_who_has_it_moves() -> None:
    rng = np.random.default_rng(0)
    plan = rng.choice(3, 2000, p=[0.7, 0.2, 0.1])
    then = np.array([0.7, 0.2, 0.1])[plan][:, None].astype(np.float32)
    profile = Profile.made(["plan_share"], then, np.zeros(2000))
    later = np.array([0.695, 0.204, 0.101])[plan][:, None].astype(np.float32)
    assert profile.index(["plan_share"], later, np.zeros(2000))["psi"].max() < 1e-9
    others = np.array([0.7, 0.2, 0.1])[rng.choice(3, 2000, p=[0.3, 0.4, 0.3])][:, None].astype(np.float32)
    assert profile.index(["plan_share"], others, np.zeros(2000))["psi"].max() > MOVED


def test_wrong_and_late_labels_are_survived(make_graph: Make) -> None:
    graph, labels = make_graph(7)
    rng = np.random.default_rng(1)
    member = make_graph.member  # type: ignore[attr-defined]
    known = np.flatnonzero(labels.label != UNKNOWN)
    wrong = labels.label.copy()
    turned = rng.choice(known, max(round(0.05 * len(known)), 1), replace=False)
    wrong[turned] = 1 - wrong[turned]
    # The newest third of the units is not labelled yet.
    late = np.isin(labels.unit, rng.permutation(np.unique(labels.unit[known]))[: len(known) // 12])
    noisy = replace(labels, label=np.where(late, UNKNOWN, wrong).astype(np.int8))
    blocks = feature_blocks(graph)
    found = train(graph, blocks, noisy, names=["trees", "belief", "graph-trees"], seed=0)
    z = found.log_odds(full_view(graph, blocks, noisy))
    rest = labels.label == UNKNOWN
    assert average_precision_score(member[rest], z[rest]) > average_precision_score(member[rest], graph.base[rest])


def test_a_training_that_was_cut_short_goes_on_from_what_it_had(
    make_graph: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, labels = make_graph()
    blocks, names = feature_blocks(graph), ["logistic", "belief", "propagation"]
    whole = train(graph, blocks, labels, names=names, seed=0)
    fits: list[str] = []
    for name in names:
        fit = type(MODELS[name]).fit

        def counting(self: Model, task: Task, *, device: str = "cpu", fit: Any = fit) -> Fitted:
            fits.append(self.name)
            if len(fits) == 6:
                raise KeyboardInterrupt
            return fit(self, task, device=device)  # type: ignore[no-any-return]

        monkeypatch.setattr(type(MODELS[name]), "fit", counting)
    kept = Checkpoint(tmp_path / "kept")
    with pytest.raises(KeyboardInterrupt):
        train(graph, blocks, labels, names=names, seed=0, kept=kept)
    there = {path.name for path in (tmp_path / "kept").iterdir()}
    assert there and not any(name.startswith(".") for name in there)
    again = train(graph, blocks, labels, names=names, seed=0, kept=kept)
    view = full_view(graph, blocks, labels)
    np.testing.assert_array_equal(again.log_odds(view), whole.log_odds(view))
    np.testing.assert_array_equal(again.held_out, whole.held_out)
    done = len(fits)
    train(graph, blocks, labels, names=names, seed=0, kept=kept)
    assert len(fits) == done, "nothing is fitted a second time"


def test_opinions_are_the_mean_of_mates_by_how_many_there_are() -> None:
    pairs = sp.csr_matrix(np.array([[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=np.float32))
    together = Through("cluster", np.arange(3), np.zeros(3, dtype=np.int64), np.array([2.0]), 4)
    graph = Graph(
        np.array(list("abcd"), dtype=object), np.zeros((4, 1), dtype=np.float32), ("x",),
        (Direct("tie", pairs), together), np.zeros(4), (0,), 1, carriers=2,
    )  # fmt: skip
    told = opinions(graph, np.array([1.0, -2.0, 4.0, 8.0]))
    tie = np.array([np.log1p(2) * 1.0, np.log1p(1) * 1.0, np.log1p(1) * 1.0, 0.0])
    mates = np.log1p(2) * np.array([1.0, 2.5, -0.5, 0.0])
    np.testing.assert_allclose(told, (tie + mates) / 2, rtol=1e-5)


def test_opinions_can_be_held_still(make_graph: Make) -> None:
    graph, labels = make_graph()
    blocks = feature_blocks(graph)
    fitted = Propagation().fit(make_task(graph, blocks, labels, seed=0))
    view = full_view(graph, blocks, labels)
    np.testing.assert_allclose(fitted.score(fitted.told(view)), fitted.score(view), atol=1e-5)


def test_where_neighbours_are_unlike_the_gain_is_learnt_and_negative() -> None:
    rng = np.random.default_rng(0)
    n = 800
    label = (np.arange(n) % 2).astype(np.int8)
    other = (np.arange(n) + 1 + 2 * rng.integers(0, n // 2, n)) % n
    matrix = sp.csr_matrix(
        (np.ones(2 * n, dtype=np.float32), (np.r_[np.arange(n), other], np.r_[other, np.arange(n)]))
    )
    x = (label[:, None] + rng.normal(0, 1.0, (n, 1))).astype(np.float32)
    graph = Graph(np.arange(n).astype(object), x, ("x",), (Direct("unlike", matrix),), np.zeros(n), (0,), 1)
    known = np.where(rng.random(n) < 0.5, label, UNKNOWN).astype(np.int8)
    labels = Labels(known, np.arange(n), np.where(known >= 0, 0.0, np.nan))
    blocks = feature_blocks(graph)
    fitted = Propagation().fit(make_task(graph, blocks, labels, seed=0))
    assert fitted.gain < -0.2
    rest = known == UNKNOWN
    alone = average_precision_score(label[rest], x[rest, 0])
    z = fitted.score(full_view(graph, blocks, labels))
    assert average_precision_score(label[rest], z[rest]) > alone + 0.05


def test_relations_of_few_are_left_to_the_ties(make_graph: Make) -> None:
    graph, _ = make_graph()
    one = np.ones(1, dtype=np.float32)
    few = sp.csr_matrix((one, (np.array([0]), np.array([1]))), shape=(len(graph), len(graph)))
    wider = replace(graph, relations=(*graph.relations, Direct("rare", few)))
    assert [one.name for one in wider.common(0.01).relations] == ["tie", "ip"]
    assert [one.name for one in wider.only(["rare"]).relations] == ["tie", "rare"]


def test_researchers_get_the_same_graph(make_graph: Make) -> None:
    pytest.importorskip("torch_geometric")
    graph, labels = make_graph()
    shared = graph.relations[1]
    assert isinstance(shared, Through)
    often = np.arange(2 * len(shared.account), dtype=np.float32).reshape(-1, 2)
    graph = replace(graph, relations=(graph.relations[0], replace(shared, seen=often)))
    data = hetero_data(graph, labels)
    assert data.validate()
    for edges in (data["account", "has", "ip"], data["ip", "had_by", "account"]):
        np.testing.assert_array_equal(edges.edge_attr.numpy(), often)
    np.testing.assert_array_equal(data["account"].x.numpy(), graph.features)
    np.testing.assert_array_equal(data["account"].y.numpy(), labels.label)
    assert set(data.edge_types) == {
        ("account", "tie", "account"),
        ("account", "has", "ip"),
        ("ip", "had_by", "account"),
    }
    # The mean over ties by message passing is the one that models are given.
    source, target = data["account", "tie", "account"].edge_index.numpy()
    weight = data["account", "tie", "account"].weight.numpy()
    total = np.bincount(target, weight * graph.base[source], minlength=len(graph))
    mean = total / np.maximum(np.bincount(target, weight, minlength=len(graph)), 1e-9)
    ours = graph.relations[0].mean(graph.base[:, None].astype(np.float32))[:, 0]
    np.testing.assert_allclose(mean, ours, atol=1e-4)
    assert data["ip"].x.shape == graph.relations[1].known.shape  # type: ignore[attr-defined]
