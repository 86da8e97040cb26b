"""Ties of clusters are what the arithmetic says, hubs and institutions tie nothing; organizations are found whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringwatch.graphs.accounts import IntArray
from ringwatch.graphs.evidence import Model
from ringwatch.graphs.layers import (
    Incidence,
    LayerSpec,
    Relation,
    common_sources,
    common_targets,
    incidence_from,
)
from ringwatch.graphs.ties import MOST_CLUSTERS, PAIRS, Ties, tie_layers, weigh_ties

CARD = LayerSpec("payment", "payment", 0.4, "a payment instrument")
DEVICE = LayerSpec("device", "device", 0.4, "a device")
ADDRESS = LayerSpec("ip", "network", 0.3, "an IP address")
NETWORK = LayerSpec("network", "network", 0.3, "a network")
SIZE = 4
Uses = list[tuple[int, int]]


def _layer(spec: LayerSpec, uses: Uses, floors: dict[int, float] | None = None) -> Incidence:
    rows = sorted(set(uses))
    account, entity = (np.array([row[side] for row in rows], dtype=np.int64) for side in (0, 1))
    times = np.full(len(rows), np.nan)
    n = np.ones(len(rows), dtype=np.int64)
    return incidence_from(spec, {"i": account, "entity": entity, "n": n, "first": times, "last": times}, floors)


def _units(clusters: int, loners: int) -> IntArray:
    """Clusters of `SIZE` accounts each, in the order of the accounts; then accounts in none."""
    return np.concatenate([np.repeat(np.arange(clusters), SIZE), np.full(loners, -1)])


def _model(n: int, pairs: Sequence[tuple[int, int]] = (), prior: float = -10.0) -> Model:
    first, second = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    return Model(n, first, second, [], [], {}, prior)


def _weigh(
    layers: list[Incidence], clusters: int, loners: int, *, pairs: dict[tuple[int, int], float] | None = None
) -> Ties:
    unit, pairs = _units(clusters, loners), pairs or {}
    bits = np.array(list(pairs.values()), dtype=np.float64)
    return weigh_ties(tie_layers(layers, unit), unit, clusters, _model(len(unit), list(pairs)), bits)


def _own(clusters: int, loners: int, start: int = 1000) -> Uses:
    """Everybody has something of their own, and every cluster something that all its members have."""
    n = clusters * SIZE + loners
    return [(i, start + i) for i in range(n)] + [(i, start + n + i // SIZE) for i in range(clusters * SIZE)]


def _bits(ties: Ties, layer: str, first: int = 0, second: int = 1) -> float:
    rows = ties.reasons[(ties.reasons["first"] == first) & (ties.reasons["second"] == second)]
    return float(rows.loc[rows["layer"] == layer, "bits"].sum())


def test_a_card_that_two_clusters_share_and_nobody_else_is_worth_what_the_formula_says() -> None:
    clusters, loners = 20, 400
    uses = [*_own(clusters, loners), (0, 1), (1, 1), (4, 1)]
    ties = _weigh([_layer(CARD, uses)], clusters, loners)
    touches = {0: SIZE + 2, 1: SIZE + 2}
    everything = 2 * clusters * 0 + (SIZE + 1) * clusters + loners + 2
    # Of the places of clusters 20 own ones and the card of cluster 0; the card of cluster 1 is not its own.
    exact = (1 + 0.5) / (20 + 1)
    expected = (touches[0] * exact * (1 + 1) + touches[1] * exact * (1 + 1)) / everything
    assert _bits(ties, "payment") == pytest.approx(np.log2(0.4 / -np.expm1(-expected)), abs=1e-6)
    assert len(ties.pairs) == 1
    total = ties.prior + ties.reasons["bits"].sum()
    assert ties.pairs["bits"].iloc[0] == pytest.approx(total)


def test_the_more_strangers_come_the_less_it_says_until_it_says_nothing() -> None:
    clusters, loners = 20, 400
    found = []
    for strangers in (0, 1, 3, 30, 300):
        uses = [*_own(clusters, loners), (0, 1), (1, 1), (4, 1)]
        uses += [(clusters * SIZE + i, 1) for i in range(strangers)]
        found.append(_bits(_weigh([_layer(CARD, uses)], clusters, loners), "payment"))
    assert found == sorted(found, reverse=True)
    assert found[0] > 6
    assert found[-1] == 0


def test_where_strangers_always_come_by_one_more_says_little() -> None:
    clusters, loners = 20, 400
    quiet = [*_own(clusters, loners), (0, 1), (1, 1), (4, 1)]
    visited = quiet + [(clusters * SIZE + i, 1000 + clusters * SIZE + loners + i // 10) for i in range(200)]
    first, second = (_bits(_weigh([_layer(ADDRESS, uses)], clusters, loners), "ip") for uses in (quiet, visited))
    assert first > second + 2


def test_a_hub_of_many_clusters_ties_none() -> None:
    clusters = MOST_CLUSTERS + 2
    uses = _own(clusters, 100) + [(SIZE * cluster, 1) for cluster in range(clusters)]
    assert _weigh([_layer(DEVICE, uses)], clusters, 100).pairs.empty


def test_known_places_tie_nothing() -> None:
    clusters, loners = 20, 400
    uses = _own(clusters, loners) + [(i, 1) for i in range(2 * SIZE)]
    known = _layer(ADDRESS, uses, {1: 0.002})
    assert _weigh([known], clusters, loners).pairs.empty
    assert _bits(_weigh([_layer(ADDRESS, uses)], clusters, loners), "ip") > 5


def test_layers_of_one_group_give_their_strongest_and_absence_is_bounded() -> None:
    clusters, loners = 20, 400
    uses = [*_own(clusters, loners), (0, 1), (1, 1), (4, 1)]
    others = _own(clusters, loners)
    layers = [_layer(ADDRESS, uses), _layer(NETWORK, uses), _layer(CARD, others), _layer(DEVICE, others)]
    ties = _weigh(layers, clusters, loners)
    assert set(ties.reasons["layer"]) == {"ip", "no_payment", "no_device"}
    against = ties.reasons.loc[ties.reasons["bits"] < 0, "bits"]
    assert -1 <= against.sum() < -0.4


def test_pairs_of_accounts_count_by_how_many_there_could_be() -> None:
    alone = {(0, 4): 8.0}
    ties = _weigh([_layer(CARD, _own(20, 400))], 20, 400, pairs=alone)
    # Odds of 2^18 for one of 16 pairs; the clusters share no card.
    assert _bits(ties, PAIRS) + _bits(ties, "no_payment") == pytest.approx(18 - 4)
    uses = [*_own(20, 400), (0, 1), (1, 1), (4, 1)]
    both = _weigh([_layer(CARD, uses)], 20, 400, pairs=alone)
    assert both.pairs["bits"].iloc[0] - both.prior == pytest.approx(18 - 4), "what is known twice counts once"


def test_money_from_one_source_ties_and_so_does_money_from_one_to_the_other() -> None:
    n, source = 20 * SIZE + 400, 20 * SIZE
    unit = _units(20, 400)
    rng = np.random.default_rng(1)
    noise = np.sort(rng.choice(np.arange(source + 1, n), 200, replace=False)).reshape(2, 100)
    for src, dst in (([source, source], [0, SIZE]), ([0], [SIZE]), ([0, SIZE], [source, source])):
        relation = Relation(
            LayerSpec("transfer", "transfer", 0.1, "a direct transfer"),
            np.concatenate([noise[0], src]), np.concatenate([noise[1], dst]), np.ones(100 + len(src), dtype=np.int64),
        )  # fmt: skip
        ends = [common_sources(relation), common_targets(relation)]
        ties = weigh_ties(tie_layers(ends, unit), unit, 20, _model(n), np.zeros(0))
        assert len(ties.pairs) == 1, (src, dst)
        assert ties.reasons["bits"].max() > 2
        assert ties.reasons["layer"].iloc[0] in ("transfer_source", "transfer_target")


def test_nothing_at_all() -> None:
    ties = _weigh([], 0, 0)
    assert ties.pairs.empty and ties.reasons.empty
    assert _weigh([_layer(CARD, _own(3, 5))], 3, 5).standing().empty


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_reasons_add_up_whatever_the_data(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters, loners = 12, 40
    n = clusters * SIZE + loners
    layers = [
        _layer(spec, list(zip(rng.integers(0, n, 120).tolist(), rng.integers(0, 60, 120).tolist(), strict=True)))
        for spec in (CARD, DEVICE, ADDRESS, NETWORK)
    ]
    pairs = {(a, a + SIZE): float(rng.normal(0, 6)) for a in range(0, 20, 3)}
    ties = _weigh(layers, clusters, loners, pairs=pairs)
    told = ties.reasons.groupby(["first", "second"])["bits"].sum()
    total = ties.pairs.set_index(["first", "second"])["bits"]
    assert total.index.is_unique and (ties.pairs["first"] < ties.pairs["second"]).all()
    pd.testing.assert_series_equal(told + ties.prior, total, check_names=False)
    again = _weigh(layers, clusters, loners, pairs=pairs)
    pd.testing.assert_frame_equal(ties.reasons, again.reasons)


def test_words_add_to_what_ties_clusters_and_make_no_organization_by_themselves() -> None:
    pairs = pd.DataFrame({"first": [0, 0, 1], "second": [1, 2, 2], "bits": [3.0, 3.0, 3.0]})
    reasons = pd.DataFrame(
        {
            "first": [0, 0, 0, 1], "second": [1, 2, 2, 2],
            "layer": ["prompt_family", "prompt_family", "payment", "prompt_family"], "bits": [8.0, 2.0, 6.0, 1.0],
        }
    )  # fmt: skip
    standing = Ties(-5.0, pairs, reasons, {}).beyond_words()
    assert standing[["first", "second"]].to_numpy().tolist() == [[0, 2], [1, 2]]
    assert standing["bits"].tolist() == [3.0, 3.0], "what words say still counts"
    assert len(Ties(-5.0, pairs, reasons.iloc[:0], {}).beyond_words()) == 3
