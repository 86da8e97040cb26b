"""Doubtful pairs add up over several things that accounts have in common, and not over the users of one thing."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from ringwatch.graphs.communities import LEAST_BITS, RESOLUTION, find_communities
from ringwatch.graphs.doubtful import CROWD, tying
from ringwatch.graphs.evidence import Model, Shared

Pairs = list[tuple[int, int]]


def _layer(name: str, pairs: Pairs, of: Pairs, users: int) -> Shared:
    """All of these pairs share entity 0, which says the same of each."""
    at = np.array([pairs.index(one) for one in of], dtype=np.int64)
    bits, zero = np.full(len(at), 4.0), np.zeros(len(at), dtype=np.int64)
    return Shared(
        name, name, name, at, bits, zero + 1, zero, 1.0, np.zeros(len(at)), np.array([users]), np.array([False])
    )  # fmt: skip


def _tied(n: int, pairs: Pairs, layers: list[Shared], bits: float) -> tuple[list[int], np.ndarray, np.ndarray]:
    first, second = np.array(pairs).T
    model = Model(n, first, second, layers, [], {}, 0.0)
    tied, worth, words = tying(model, np.full(len(pairs), bits))
    found: list[int] = find_communities(
        n, first[tied], second[tied], worth[tied], words, np.full(n, -1), seed=1
    ).tolist()
    return found, tied, worth


def test_what_weighs_as_little_as_a_pair_without_evidence_ties_nobody() -> None:
    assert np.logaddexp2(0.0, LEAST_BITS) == pytest.approx(RESOLUTION)
    _, tied, _ = _tied(3, [(0, 1)], [], LEAST_BITS - 0.01)
    assert tied.tolist() == []


def test_a_crowd_behind_one_thing_is_nothing_and_a_family_behind_it_is_kept() -> None:
    crowd = list(combinations(range(40), 2))
    found, _, worth = _tied(40, crowd, [_layer("ip", crowd, crowd, 40)], -1.5)
    assert set(found) == {-1}
    each = np.logaddexp2(0.0, -1.5) * CROWD / 39
    assert np.logaddexp2(0.0, worth) == pytest.approx(np.full(len(crowd), each))
    family = list(combinations(range(4), 2))
    found, _, worth = _tied(4, family, [_layer("ip", family, family, 4)], -1.5)
    assert set(found) == {0}
    assert worth == pytest.approx(np.full(6, -1.5))


def test_pairs_that_share_nothing_or_stand_are_what_they_are() -> None:
    crowd = list(combinations(range(40), 2))
    _, tied, worth = _tied(40, crowd, [], -1.5)
    assert (len(tied), worth.tolist()) == (len(crowd), [-1.5] * len(crowd))
    _, _, worth = _tied(40, crowd, [_layer("ip", crowd, crowd, 40)], 0.5)
    assert worth.tolist() == [0.5] * len(crowd)


def test_a_pair_is_tied_by_words_where_nothing_else_that_it_shares_says_more() -> None:
    pairs = [(0, 1), (0, 2), (1, 2), (2, 3)]
    first_of, second_of = np.array(pairs).T
    device = _layer("device", pairs, pairs[:2], 2)
    written = replace(_layer("prompt_family", pairs, pairs[1:3], 3), group="prompts", rarity=np.array([3.0, 3.0]))
    more = replace(written, rarity=np.array([9.0, 9.0]))
    for layer, first in ((written, False), (more, True)):
        model = Model(4, first_of, second_of, [device, layer], [], {}, 0.0)
        assert tying(model, np.full(4, 9.0))[2].tolist() == [False, first, True, False]
        assert tying(model, np.array([-9.0, -9.0, 9.0, 9.0]))[2].tolist() == [True, False]
