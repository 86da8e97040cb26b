"""Near-duplicates are joined, strangers are not, and a text that everybody sends is no explosion."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from ringwatch.graphs import families
from ringwatch.graphs.families import Sketches, find_families, jaccard
from ringwatch.signatures import normalise_text, sketches

KEY = bytes(range(32))
WORDS = np.array([f"w{i}" for i in range(4000)])


def _sketched(texts: list[str]) -> Sketches:
    found = sketches(normalise_text(pa.array(texts, pa.string())), KEY)
    return Sketches(np.asarray(found.values, dtype=np.uint32), np.asarray(found.offsets, dtype=np.int64))


def _copies(rng: np.random.Generator, words: int, copies: int, change: float) -> list[str]:
    base = rng.choice(WORDS, words)
    return [" ".join(np.where(rng.random(words) < change, rng.choice(WORDS, words), base)) for _ in range(copies)]


def test_copies_with_eight_percent_of_the_words_changed_are_one_family() -> None:
    rng = np.random.default_rng(3)
    groups = [_copies(rng, 24, 40, 0.08) for _ in range(20)]
    noise = [" ".join(rng.choice(WORDS, 20)) for _ in range(2000)]
    family = find_families(_sketched([text for group in groups for text in group] + noise))[0]
    planted = family[:800].reshape(20, 40)
    largest = [np.unique(row, return_counts=True)[1].max() for row in planted]
    assert np.mean(largest) > 0.95 * 40
    assert len({int(pd.Series(row).mode()[0]) for row in planted}) == 20
    assert len(np.unique(family[800:])) == 2000


def test_similar_pairs_are_reported_with_their_similarity() -> None:
    rng = np.random.default_rng(4)
    texts = _sketched(_copies(rng, 30, 12, 0.1))
    family, first, second, score = find_families(texts, related=0.05)
    assert len(first) > 0
    assert (first < second).all()
    assert np.allclose(score, jaccard(texts, first, second))
    assert set(np.unique(family)) <= set(range(12))


def test_jaccard_is_that_of_the_sets() -> None:
    values = [[1, 2, 3], [2, 3, 4], [], [9]]
    flat = np.array([value for row in values for value in row], dtype=np.uint32)
    sets = Sketches(flat, np.cumsum([0, 3, 3, 0, 1]))
    pairs = np.array([0, 0, 2, 3]), np.array([1, 3, 2, 3])
    assert jaccard(sets, *pairs).tolist() == [0.5, 0.0, 0.0, 1.0]


def test_nothing_and_a_single_text() -> None:
    for texts in ([], ["alone"], ["", ""]):
        family, first, *_ = find_families(_sketched(texts))
        assert family.tolist() == list(range(len(texts)))
        assert len(first) == 0


def test_a_template_of_thousands_makes_no_more_pairs_than_texts_times_neighbours() -> None:
    rng = np.random.default_rng(5)
    texts = _sketched(_copies(rng, 20, 6000, 0.05))
    first, second = families._candidates(texts)
    assert len(first) <= 6000 * families.RAREST * families.NEIGHBOURS
    family = find_families(texts)[0]
    assert np.unique(family, return_counts=True)[1].max() > 5900
    assert (first != second).all()


def test_the_order_of_the_texts_does_not_change_who_is_joined() -> None:
    rng = np.random.default_rng(6)
    texts = [text for _ in range(6) for text in _copies(rng, 22, 15, 0.06)]
    turned = rng.permutation(len(texts))
    one = find_families(_sketched(texts))[0]
    other = np.empty(len(texts), dtype=np.int64)
    other[turned] = turned[find_families(_sketched([texts[i] for i in turned]))[0]]
    together = (one[:, None] == one[None, :]) == (other[:, None] == other[None, :])
    assert together.mean() > 0.995
