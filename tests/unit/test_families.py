"""Paraphrases are joined, strangers are not, and a text that everybody sends is no explosion."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ringwatch.graphs import overlap
from ringwatch.graphs.families import Texts, find_families
from ringwatch.graphs.overlap import Sets, meeting_pairs
from ringwatch.signatures import Signatures, normalise_text, sign_sequences, sign_texts

KEY = bytes(range(32))
WORDS = np.array([f"w{i}" for i in range(4000)])


def _texts(signed: Signatures) -> Texts:
    def sets(column: Any) -> Sets:
        return Sets(column.values.to_numpy(), column.offsets.to_numpy().astype(np.int64))

    return Texts(sets(signed.sketches), sets(signed.bags))


def _signed(texts: list[str]) -> Texts:
    return _texts(sign_texts(normalise_text(pa.array(texts, pa.string())), KEY))


def _copies(rng: np.random.Generator, words: int, copies: int, change: float) -> list[str]:
    base = rng.choice(WORDS, words)
    return [" ".join(np.where(rng.random(words) < change, rng.choice(WORDS, words), base)) for _ in range(copies)]


@pytest.mark.parametrize("change", [0.08, 0.18, 0.28])
def test_copies_with_words_replaced_are_one_family(change: float) -> None:
    rng = np.random.default_rng(3)
    groups = [_copies(rng, 24, 40, change) for _ in range(20)]
    noise = [" ".join(rng.choice(WORDS, 20)) for _ in range(2000)]
    family = find_families(_signed([text for group in groups for text in group] + noise)).family
    planted = family[:800].reshape(20, 40)
    largest = [np.unique(row, return_counts=True)[1].max() for row in planted]
    assert np.mean(largest) > 0.95 * 40
    assert len({int(pd.Series(row).mode()[0]) for row in planted}) == 20
    assert len(np.unique(family[800:])) == 2000


def test_copies_in_another_order_of_clauses_are_one_family() -> None:
    rng = np.random.default_rng(8)
    clauses = [" ".join(rng.choice(WORDS, 6)) for _ in range(5)]
    copies = [" ".join(rng.permutation(clauses)) for _ in range(12)]
    noise = [" ".join(rng.choice(WORDS, 30)) for _ in range(500)]
    family = find_families(_signed(copies + noise)).family
    assert len(np.unique(family[:12])) == 1
    assert len(np.unique(family[12:])) == 500


def test_a_family_is_named_by_its_least_text_and_related_ones_are_apart() -> None:
    rng = np.random.default_rng(4)
    found = find_families(_signed([text for _ in range(4) for text in _copies(rng, 30, 12, 0.3)]))
    for family in np.unique(found.family):
        assert np.flatnonzero(found.family == family)[0] == family
    first, second, alike = found.related
    assert (first < second).all()
    assert set(first.tolist() + second.tolist()) <= set(found.family.tolist())
    assert ((alike >= 0) & (alike <= 1)).all()
    assert (found.bits > 0).all()


def test_a_text_that_one_accident_draws_in_leaves_again() -> None:
    rng = np.random.default_rng(9)
    copies = _copies(rng, 24, 10, 0.1)
    accident = " ".join(rng.choice(WORDS, 10))
    copies[4] = " ".join(copies[4].split()[:14]) + " " + accident
    stranger = accident + " " + " ".join(rng.choice(WORDS, 8))
    noise = [" ".join(rng.choice(WORDS, 20)) for _ in range(500)]
    family = find_families(_signed([stranger, *copies, *noise])).family
    assert len(np.unique(family[1:11])) == 1
    assert family[0] != family[1]


@pytest.mark.parametrize(("slots", "fillers"), [(2, 40), (3, 30), (4, 20)])
def test_texts_of_a_genre_are_no_family_and_the_templates_among_them_are(slots: int, fillers: int) -> None:
    rng = np.random.default_rng(2)
    ways = [[" ".join(rng.choice(WORDS, 7)) for _ in range(fillers)] for _ in range(slots)]
    genre = [" ".join(way[rng.integers(fillers)] for way in ways) for _ in range(1500)]
    copies = [
        f"{body} {rng.choice(WORDS)}"
        for body in (" ".join(rng.choice(WORDS, 20)) for _ in range(5))
        for _ in range(20)
    ]
    found = find_families(_signed(copies + genre))
    assert [len(np.unique(found.family[at : at + 20])) for at in range(0, 100, 20)] == [1] * 5
    assert len(np.unique(found.family[:100])) == 5
    sizes = np.bincount(found.family)
    assert sizes.max() < 100, "each text has a part of its words from another, that from a third, and so on"
    large = np.flatnonzero(sizes > 5)
    assert min(found.common[found.family == one].sum() / found.bits[found.family == one].sum() for one in large) > 0.2


def test_a_template_has_more_in_common_than_a_phrase() -> None:
    rng = np.random.default_rng(10)
    phrase = " ".join(rng.choice(WORDS, 5))
    quoting = [" ".join([*rng.choice(WORDS, 4), phrase, *rng.choice(WORDS, 4)]) for _ in range(12)]
    noise = [" ".join(rng.choice(WORDS, 20)) for _ in range(500)]
    found = find_families(_signed(quoting + _copies(rng, 24, 12, 0.18) + noise))
    assert len(np.unique(found.family[:12])) == 1
    assert len(np.unique(found.family[12:24])) == 1
    assert found.common[12:24].min() > 1.5 * found.common[:12].max() > 0
    assert found.common[24:].max() == 0


def test_nothing_and_a_single_text() -> None:
    for texts in (["alone"], ["", ""], ["a b c d e f", "g h i j k l"]):
        found = find_families(_signed(texts))
        assert found.family.tolist() == list(range(len(texts)))
        assert len(found.related[0]) == 0


def test_a_template_of_thousands_makes_no_more_pairs_than_texts_times_neighbours() -> None:
    rng = np.random.default_rng(5)
    texts = _signed(_copies(rng, 20, 2000, 0.05) + [" ".join(rng.choice(WORDS, 20)) for _ in range(8000)])
    first, second = meeting_pairs(texts.sketches)
    assert len(first) <= len(texts) * texts.sketches.sizes.max() * overlap.REACH
    assert (first < second).all()
    family = find_families(texts).family
    assert np.unique(family, return_counts=True)[1].max() > 1980


@pytest.mark.parametrize("places", [10**6, 300])
def test_sets_meet_at_the_rarest_elements_that_they_share(monkeypatch: pytest.MonkeyPatch, places: int) -> None:
    monkeypatch.setattr(overlap, "PLACES", places)
    monkeypatch.setattr(overlap, "_PIECE", 7)
    monkeypatch.setattr(overlap, "_SETS", 3)
    rng = np.random.default_rng(5)
    sets = [np.unique(np.minimum(rng.zipf(1.3, 20), 4_000_000_000)) for _ in range(60)]
    offsets = np.cumsum([0, *map(len, sets)])
    first, second = meeting_pairs(Sets(np.concatenate(sets).astype(np.uint32), offsets))

    spread = Counter(int(element) for one in sets for element in one)
    name = {element: place for place, element in enumerate(sorted(e for e in spread if spread[e] > 1))}
    brought = [sorted((int(4 * np.log2(spread[e])), name[e]) for e in map(int, one) if e in name) for one in sets]
    if sum(map(len, brought)) > places:
        most = places // sum(map(bool, brought))
        brought = [one[:most] for one in brought]
    lists: dict[int, list[int]] = {}
    for number, one in enumerate(brought):
        for _, element in one:
            lists.setdefault(element, []).append(number)
    met = Counter(
        (a, b) for one in lists.values() for i, a in enumerate(one) for b in one[i + 1 : i + 1 + overlap.REACH]
    )
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == sorted(p for p in met if met[p] > 1)


def test_the_order_of_the_texts_does_not_change_who_is_joined() -> None:
    rng = np.random.default_rng(6)
    texts = [text for _ in range(6) for text in _copies(rng, 22, 15, 0.15)]
    turned = rng.permutation(len(texts))
    one = find_families(_signed(texts)).family
    other = np.empty(len(texts), dtype=np.int64)
    other[turned] = turned[find_families(_signed([texts[i] for i in turned])).family]
    together = (one[:, None] == one[None, :]) == (other[:, None] == other[None, :])
    assert together.mean() > 0.995


def test_chains_with_a_call_left_out_or_put_in_are_one_family() -> None:
    rng = np.random.default_rng(7)
    base = rng.integers(0, 1 << 40, 12).tolist()
    runs = [base, base[:4] + base[5:], [*base[:7], 99, *base[7:]], [*base[:2], 7, *base[3:]], base[1:]]
    noise = [rng.integers(0, 1 << 40, 12).tolist() for _ in range(200)]
    family = find_families(_texts(sign_sequences(pa.array(runs + noise, pa.list_(pa.int64())), KEY))).family
    assert len(np.unique(family[:5])) == 1
    assert len(np.unique(family[5:])) == 200
