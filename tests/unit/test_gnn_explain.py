"""Explanations name what was planted, add up, and hold when what they name is taken out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest

from ringwatch.gnn import Card, Evidence, Graph, Labels, Scorer, feature_blocks, fit_head, train
from ringwatch.gnn.counterfactual import account_ties, breaking, cluster_ties, fidelity, worth
from ringwatch.gnn.drift import Profile
from ringwatch.gnn.explain import EVIDENCE, LABELS, Game, explain_account, sentence, shapley, theme_of
from ringwatch.gnn.heads import MOST, NO_HEAD
from ringwatch.gnn.labels import UNKNOWN
from ringwatch.graphs import Model
from ringwatch.graphs.evidence import Shared
from ringwatch.pipeline.why import also_counted

Make = Callable[..., tuple[Graph, Labels]]


def _scorer(graph: Graph, labels: Labels) -> Scorer:
    found = train(
        graph, feature_blocks(graph), labels, names=["trees", "belief", "graph-trees", "propagation"], seed=0
    )
    card = Card(
        "m0", "", found.winner, found.shares, asdict(found.calibration), {},
        [], [], [], 0.05, {}, found.prior, len(graph), 0, ["ip"], 0, 0, None, None, "", "", "", 0.0, "", [],
    )  # fmt: skip
    return Scorer(card, found.fitted, NO_HEAD, Profile.made(graph.names, graph.features, graph.base), frozenset())


def test_shares_add_up_and_planted_reasons_come_first(make_graph: Make) -> None:
    graph, labels = make_graph()
    scorer = _scorer(graph, labels)
    member = make_graph.member  # type: ignore[attr-defined]
    usual = np.flatnonzero(~member & (labels.label == UNKNOWN))[:30]
    base = graph.base.copy()
    features = graph.features.copy()
    # The planted reason of these honest accounts: evidence that none of them has by itself.
    base[usual], features[usual, 4] = 4.0, 4.0
    changed = replace(graph, base=base, features=features)
    view = scorer.view(changed, labels)
    first, held = 0, []
    for account in usual.tolist():
        found = explain_account(scorer, view, account)
        game = Game(scorer, view, account)
        shares = shapley(game, seed=0)
        full = game.log_odds(np.ones((1, len(shares)), dtype=np.bool_))[0]
        empty = game.log_odds(np.zeros((1, len(shares)), dtype=np.bool_))[0]
        assert shares.sum() == pytest.approx(full - empty, abs=1e-6)
        assert found.probability == pytest.approx(1 / (1 + np.exp(-scorer.log_odds(view)[account])), abs=1e-5)
        first += EVIDENCE in [one.theme for one in found.reasons[:3]]
        held.append(found.fidelity["necessity"] - found.fidelity["random"])
        if found.counterfactual:
            gone = ~np.isin(game.themes, found.counterfactual)
            assert game.log_odds(gone[None, :])[0] <= 0
    assert first >= 0.8 * len(usual)
    assert np.mean(held) > 0.1, "taking out what is named lowers the score more than taking out as many at random"


def test_every_column_has_a_theme() -> None:
    assert theme_of("own", "harm_rate") == "its own harm"
    assert theme_of("own", "x_size") == "x_size"
    assert theme_of("labels", "labels abusive tie") == LABELS
    assert theme_of("evidence", "cluster_abuse") == EVIDENCE
    assert theme_of("tie 2 hops", "tie 2 hops: base") == "neighbours by tie"


def test_a_sentence_names_what_counts_most(make_graph: Make) -> None:
    graph, labels = make_graph()
    scorer = _scorer(graph, labels)
    account = int(np.flatnonzero(make_graph.member)[0])  # type: ignore[attr-defined]
    found = explain_account(scorer, scorer.view(graph, labels), account)
    said = sentence("a1", found, ["a card of 3 accounts"])
    assert said.startswith("a1 is abusive with a probability of ")
    strongest = max(found.reasons, key=lambda one: one.bits)
    assert strongest.theme in said
    assert "a card of 3 accounts" in said


def _layer(name: str, group: str, pairs: list[int], entity: list[int], bits: float, users: int) -> Shared:
    n = len(pairs)
    return Shared(
        name, group, f"a {name}", np.array(pairs), np.full(n, bits + 1), np.ones(n, dtype=np.int64), np.array(entity),
        0.5, np.zeros(n), np.full(users, 3), np.zeros(users, dtype=np.bool_),
    )  # fmt: skip


def _ring() -> Model:
    """Six accounts: 0, 1, 2 and 3, 4, 5 by one card each; 2–3 by a device; all pairs of 0, 1, 2 by a weak address."""
    first = np.array([0, 0, 1, 2, 3, 3, 4])
    second = np.array([1, 2, 2, 3, 4, 5, 5])
    cards = _layer("payment", "payment", [0, 1, 2, 4, 5, 6], [0, 0, 0, 1, 1, 1], 12.0, 2)
    device = _layer("device", "device", [3], [0], 9.0, 1)
    address = _layer("ip", "network", [0, 1, 2], [0, 0, 0], 1.0, 1)
    both = {group: np.ones(7, dtype=np.bool_) for group in ("payment", "device", "network")}
    return Model(6, first, second, [cards, device, address], [], both, -4.0)


def test_a_cluster_is_cut_where_it_was_planted() -> None:
    ties = cluster_ties(_ring(), np.arange(6))
    assert ties.whole() == 1.0
    ranked = worth(ties)
    assert {part for part, _ in ranked[:2]} == {("payment", 0), ("payment", 1)}
    cut, left = breaking(ties, ranked)
    assert cut == [("device", 0)]
    assert left == 0.5
    assert ties.without(cut).whole() == 0.5
    told = fidelity(ties, ranked, top=2, seed=0)
    assert told["necessity"] > told["random"]
    assert told["sufficiency"] > 0.5


def test_a_score_that_has_more_in_it_than_is_explained_says_so() -> None:
    assert also_counted(0.61137, 0.6114) == ""
    assert "Its score is 61.1%: what reviewers said" in also_counted(0.611, 0.024)


def test_where_nothing_ties_nothing_is_said_to_hold() -> None:
    ties = cluster_ties(replace(_ring(), prior=-100.0), np.arange(6))
    assert fidelity(ties, worth(ties), top=2, seed=0) == {}


def test_what_was_never_there_says_nothing_by_its_absence() -> None:
    model = _ring()
    ties = cluster_ties(model, np.arange(6))
    before, after = ties.model.bits(), ties.without([("ip", 0)]).model.bits()
    assert (after <= before + 1e-9).all()
    assert after[0] == pytest.approx(before[0] - 1.0, abs=0.6)
    untouched = [3, 4, 5, 6]
    np.testing.assert_allclose(after[untouched], before[untouched])


def test_an_account_has_its_own_ties() -> None:
    ties = account_ties(_ring(), 2)
    assert ties.members.tolist() == [0, 1, 2, 3]
    assert {part for part, _ in worth(ties)} == {("payment", 0), ("device", 0), ("ip", 0)}


def _clusters(count: int) -> tuple[Evidence, np.ndarray, Labels]:
    """Clusters of four, every second abusive: detection gives all the same abuse, the model's scores do not."""
    n = 4 * count
    cluster = np.arange(n) // 4
    bad = np.arange(count) % 2 == 0
    z = np.where(bad[cluster], 1.0, -3.0) + np.random.default_rng(0).normal(0, 0.5, n)
    evidence = Evidence(
        np.zeros(0), np.full(n, 0.3), cluster, np.ones(n), np.full(count, 0.9), np.full(count, 0.3),
        np.full(count, 4.0), np.full(count, 5.0),
    )  # fmt: skip
    label = np.full(n, UNKNOWN, dtype=np.int8)
    looked_at = np.arange(0, n // 2, 4)
    label[looked_at] = bad[cluster[looked_at]]
    return evidence, z, Labels(label, cluster.astype(np.int64), np.where(label >= 0, 0.0, np.nan))


def test_the_head_moves_clusters_that_nobody_labelled_by_what_their_members_score() -> None:
    evidence, z, labels = _clusters(60)
    shift = fit_head(evidence, z, labels).shift(evidence, z)
    never = np.arange(60) >= 30
    bad = np.arange(60) % 2 == 0
    assert shift[never & bad].min() > 0.3 + shift[never & ~bad].max()
    assert np.abs(shift).max() <= MOST


def test_a_head_without_labelled_clusters_moves_none() -> None:
    evidence, z, labels = _clusters(60)
    none = replace(labels, label=np.full(len(labels), UNKNOWN, dtype=np.int8))
    assert not fit_head(evidence, z, none).shift(evidence, z).any()
    assert fit_head(replace(evidence, abuse=np.full(60, np.nan)), z, labels) is NO_HEAD
