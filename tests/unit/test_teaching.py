"""Labels teach what tells beside the score, a handful teaches nothing, and their own richness is taken out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ringwatch.evaluation.metrics import auprc
from ringwatch.graphs.accounts import AccountTable, FloatArray, IntArray
from ringwatch.graphs.layers import Incidence, LayerSpec, Relation, incidence_from
from ringwatch.graphs.scores import drawn_together
from ringwatch.graphs.teaching import LEAST, OCTAVES, account_traits, taught

N = 4_000


def _world(seed: int) -> tuple[FloatArray, IntArray, FloatArray]:
    """A score that tells something, a trait that tells something else, and who is abusive."""
    rng = np.random.default_rng(seed)
    abusive = rng.random(N) < 0.1
    score = 1 / (1 + np.exp(3 - 2 * abusive - rng.normal(size=N)))
    trait = np.where(abusive & (rng.random(N) < 0.8), 3, rng.integers(0, 5, N))
    return score, trait, abusive.astype(np.float64)


def _alone(known: IntArray) -> IntArray:
    """Everybody a unit of its own."""
    return np.arange(len(known))


def test_what_labels_teach_of_a_trait_helps_on_accounts_without_one() -> None:
    score, trait, abusive = _world(1)
    known, other = np.arange(N // 2), np.arange(N // 2, N)
    odds = taught(score, [trait], known, abusive[known], _alone(known))
    truth = abusive[other] > 0
    assert auprc(odds[other], truth) > auprc(score[other], truth) + 0.05


def test_a_trait_that_says_nothing_changes_little() -> None:
    score, _, abusive = _world(2)
    known, other = np.arange(N // 2), np.arange(N // 2, N)
    noise = [np.random.default_rng(i).integers(0, 8, N) for i in range(6)]
    truth = abusive[other] > 0
    assert (
        auprc(taught(score, noise, known, abusive[known], _alone(known))[other], truth)
        > auprc(score[other], truth) - 0.02
    )


@pytest.mark.parametrize("sort", [0.0, 1.0])
def test_a_handful_of_labels_of_either_sort_teaches_nothing(sort: float) -> None:
    score, trait, abusive = _world(3)
    few = np.flatnonzero(abusive == sort)[: LEAST - 1]
    known = np.sort(np.concatenate([few, np.flatnonzero(abusive != sort)[:200]]))
    odds = taught(score, [trait], known, abusive[known], _alone(known))
    assert odds == pytest.approx(np.log2(score / (1 - score)))


def test_what_only_each_operation_has_for_itself_teaches_nothing() -> None:
    score, _, abusive = _world(5)
    known = np.sort(np.r_[np.flatnonzero(abusive > 0)[:200], np.flatnonzero(abusive == 0)[:600]])
    # Ten operations, each of its own day: by account that tells them from everybody, by operation it tells nothing.
    operation = np.where(abusive[known] > 0, np.cumsum(abusive[known]).astype(np.int64) % 10, -1)
    day = np.random.default_rng(5).integers(0, 400, N)
    day[known[operation >= 0]] = 40 * operation[operation >= 0]
    together = np.where(operation >= 0, operation, 10 + np.arange(len(known)))
    unit = np.unique(together, return_inverse=True)[1]
    untaught = np.log2(score / (1 - score))
    assert taught(score, [day], known, abusive[known], unit) == pytest.approx(untaught)
    assert taught(score, [day], known, abusive[known], _alone(known)) != pytest.approx(untaught)


def test_who_was_drawn_together() -> None:
    cluster, group = np.array([0, 0, 1, -1, -1, 2]), np.array([-1, 3, 3, -1, 0, -1])
    assert drawn_together(cluster, group).tolist() == [0, 0, 0, 1, 2, 3]
    assert drawn_together(np.array([-1]), np.array([-1])).tolist() == [0]


def test_labels_that_are_rich_in_abuse_do_not_make_everybody_suspect() -> None:
    score, trait, abusive = _world(4)
    known = np.concatenate([np.flatnonzero(abusive > 0)[:300], np.flatnonzero(abusive == 0)[:300]])
    probability = 1 / (1 + np.exp2(-taught(score, [trait], np.sort(known), abusive[np.sort(known)], _alone(known))))
    assert abs(probability.mean() - score.mean()) < 0.05


def test_the_bands_of_traits() -> None:
    frame = pd.DataFrame(
        {"account_id": list("abcd"), "created_at": [1.0, 2.0, np.nan, 4.0], "x_v": [0.0, 0.0, 0.0, 9.0]}
    )
    held = [(0, 1), (0, 2), (0, 3), (1, 1)]
    wallets: Incidence = incidence_from(
        LayerSpec("wallet", "wallet", 0.3, "a wallet"),
        {
            "i": np.array([one for one, _ in held]), "entity": np.array([entity for _, entity in held]),
            "n": np.ones(4, dtype=np.int64), "first": np.full(4, np.nan), "last": np.full(4, np.nan),
        },
    )  # fmt: skip
    ends = np.array([3] * 3), np.array([0, 1, 2])
    sent = Relation(LayerSpec("transfer", "transfer", 0.1, "a direct transfer"), *ends, np.ones(3, dtype=np.int64))
    created, volume, wallet, out, into, mates = account_traits(
        AccountTable(frame, harm_known=False), [wallets], [sent], np.array([1, 1, 500, 2])
    )
    assert created[0] < created[1] < created[3] < created[2]
    assert volume[0] == volume[2] < volume[3]
    assert wallet.tolist() == [2, 1, 0, 0]
    assert (out.tolist(), into.tolist()) == ([0, 0, 0, 2], [1, 1, 1, 0])
    assert mates.tolist() == [1, 1, OCTAVES, 2]
