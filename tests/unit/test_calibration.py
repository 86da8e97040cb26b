"""Claims are held to the truth by hand-counted pairs: which count, which are right, how far off they are."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringwatch.evaluation.calibration import calibrate, reliability
from ringwatch.evaluation.metrics import ece
from ringwatch.evaluation.truth import select
from ringwatch.graphs import Model
from ringwatch.graphs.evidence import Reason

claims = st.lists(
    st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60
)


def _arrays(rows: list[tuple[float, bool, int, int]]) -> tuple[Any, Any, tuple[Any, Any]]:
    claim, right, one, other = (np.array(column) for column in zip(*rows, strict=True))
    return claim, right, (one, other)


@given(claims)
def test_the_error_of_equal_bins_is_that_of_scores(rows: list[tuple[float, bool, int, int]]) -> None:
    claim, right, ends = _arrays(rows)
    found = reliability(claim, right, ends, resamples=5)
    assert found.ece.value == pytest.approx(ece(claim, right), abs=1e-6)
    assert sum(one.pairs for one in found.bins) == found.pairs == len(rows)
    assert sum(one.pairs * one.claimed for one in found.bins) == pytest.approx(claim.sum())
    assert sum(one.pairs * one.right for one in found.bins) == pytest.approx(right.sum())


@given(claims)
def test_an_error_is_between_that_of_all_and_that_of_each(
    rows: list[tuple[float, bool, int, int]],
) -> None:
    claim, right, ends = _arrays(rows)
    found = reliability(claim, right, ends, resamples=5)
    for one in (found.ece, found.ece_equal_mass):
        assert one.value is not None and one.low is not None and one.high is not None
        assert abs(claim.mean() - right.mean()) - 1e-6 <= one.value <= np.abs(claim - right).mean() + 1e-6
        assert one.low <= one.value <= one.high


def test_bins_of_equal_mass_see_what_wide_ones_hide() -> None:
    """Two hundred claims of .01 to .06 fall into one wide bin; half of them are never right, half too often."""
    claim = np.repeat([0.01, 0.06], 100)
    right = np.arange(200) % 100 < np.where(claim < 0.05, 0, 7)
    found = reliability(claim, right, (np.arange(200), np.arange(200) + 200), resamples=0)
    assert found.ece.value == pytest.approx(0.0, abs=1e-6)
    assert found.ece_equal_mass.value == pytest.approx(0.01)


def test_equal_claims_are_one_bin_whatever_their_order() -> None:
    claim, right = np.full(60, 0.5), np.arange(60) < 30
    assert reliability(claim, right, (np.arange(60), np.arange(60)), resamples=0).ece_equal_mass.value == 0.0


def test_pairs_of_one_group_are_drawn_together() -> None:
    """Twenty groups of a hundred pairs, right or wrong as a whole: the interval is that of twenty draws."""
    claim, right = np.full(2000, 0.5), np.repeat(np.arange(20) % 2 == 0, 100)
    group, alone = np.repeat(np.arange(20), 100), np.arange(2000)
    widths = []
    for ends in ((group, group), (alone, alone)):
        share = reliability(claim, right, ends).right
        assert share.low is not None and share.high is not None
        widths.append(share.high - share.low)
    assert widths[0] > 5 * widths[1]


def test_nothing_to_hold_to_the_truth() -> None:
    none = np.zeros(0, dtype=np.int64)
    found = reliability(np.zeros(0), none.astype(np.bool_), (none, none))
    assert (found.pairs, found.ece.value, found.ece_equal_mass.value, found.bins) == (0, None, None, ())


class _Pairs:
    """The face of a model: seven accounts, pairs with their log odds, two layers."""

    first = np.array([0, 0, 2, 2, 4, 0, 5])
    second = np.array([1, 2, 3, 4, 5, 6, 6])

    def bits(self) -> Any:
        return np.log2([3.0, 1 / 3, 3.0, 1 / 3, 3.0, 3.0, 3.0])

    def explain(self, pairs: Any) -> Any:
        at = np.arange(len(pairs))
        yield Reason("card", "a card", "shared", at, np.where(pairs == 0, 1.0, 2.0), at)
        yield Reason("ip", "an address", "shared", at, np.where(pairs == 1, 1.0, 3.0), at)
        yield Reason("signup", "far apart", "contrast", at, np.full(len(at), 9.0), at)


MEMBERS = pd.DataFrame(
    {"cluster_id": ["c1"] * 3 + ["c2"] * 2 + ["c3"] * 2, "account_id": ["a0", "a1", "a4", "a2", "a3", "a5", "a7"]}
)
CLUSTERS = pd.DataFrame({"cluster_id": ["c1", "c2", "c3"], "score": [0.8, 0.2, 0.1], "coordination": [0.9, 0.6, 0.4]})


def _calibrated(benign_groups: pd.DataFrame | None = None) -> Any:
    """0, 1: an operation; 2, 3: benign; 4: another operation with 5, which nobody labelled; 6: a stray abuser."""
    labels = pd.DataFrame(
        {
            "account_id": ["a0", "a1", "a2", "a3", "a4", "a6"],
            "label": ["abusive", "abusive", "benign", "benign", "abusive", "abusive"],
            "group_id": ["one", "one", None, None, "two", None],
        }
    )
    accounts = pd.Index([f"a{i}" for i in range(7)])
    return calibrate(
        cast(Model, _Pairs()), accounts, select(labels, accounts), MEMBERS, CLUSTERS, benign_groups=benign_groups,
        resamples=0,
        operations=pd.DataFrame({"group_id": ["one", "two"], "kind": ["card", "chain"]}),
    )  # fmt: skip


def test_which_pairs_count_and_which_are_right() -> None:
    found = _calibrated()
    assert found.pairs.pairs == 4, "0-1, 0-2, 2-3, 2-4: the others have an end of which too little is known"
    assert found.pairs.claimed.value == 0.5
    assert found.pairs.right.value == 0.25, "0-1 is of one operation"
    # Claims of .75: one right, one wrong. Claims of .25: none right.
    assert found.pairs.ece.value == pytest.approx(0.5 * 0.25 + 0.5 * 0.25)
    assert (found.standing.pairs, found.standing.right.value) == (2, 0.5)
    assert found.strict == found.grouped == found.pairs


def test_who_shares_a_place_is_no_party() -> None:
    found = _calibrated(pd.DataFrame({"account_id": ["a2", "a3"], "group_id": "hall", "kind": "campus"}))
    assert found.pairs.right.value == found.strict.right.value == 0.25
    assert found.grouped.right.value == 0.5


def test_a_benign_group_is_right_about_itself_but_not_strictly() -> None:
    homes = pd.DataFrame({"account_id": ["a2", "a3"], "group_id": "home", "kind": "household"})
    found = _calibrated(homes)
    assert found.pairs.right.value == 0.5
    assert found.standing.right.value == 1.0
    assert found.strict.right.value == 0.25
    kinds = {one.kind: (one.pairs, one.claimed, one.standing) for one in found.kinds}
    assert kinds == {"benign household": (1, 0.75, 1), "card": (1, 0.75, 1), "different": (2, 0.25, 0)}


def test_a_pair_is_of_the_layer_that_says_most() -> None:
    layers = {name: one.pairs for name, one in _calibrated().layers.items()}
    assert layers == {"card": 1, "ip": 3}, "of 0-2 the card; contrasts are no layer"


def test_clusters_are_held_to_what_most_of_their_members_are() -> None:
    homes = pd.DataFrame({"account_id": ["a2", "a3"], "group_id": "home", "kind": "household"})
    score, coordination = (_calibrated(homes).clusters[name] for name in ("score", "coordination"))
    assert (score.pairs, score.claimed.value, score.right.value) == (2, 0.5, 0.5), "of c3 nobody knows anything"
    assert score.ece.value == pytest.approx((0.2 + 0.2) / 2)
    assert (coordination.claimed.value, coordination.right.value) == (0.75, 1.0)
    alone = _calibrated().clusters["coordination"]
    assert alone.right.value == 0.5, "a home that the truth does not name is no group"
    assert set(score.document("clusters")["bins"][0]) == {"low", "high", "clusters", "claimed", "right"}
