"""When an operation counts as found, when as flagged, and what delays add up to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringwatch.clock import parse_span
from ringwatch.errors import UsageError
from ringwatch.evaluation.replay import (
    QUANTILES,
    Replay,
    _look,
    _moments,
    _operations,
    _quantiles,
    delay_chart,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
days = st.lists(st.one_of(st.none(), st.floats(0, 500).map(lambda value: round(value, 3))), min_size=1, max_size=30)


def _day(number: float) -> datetime:
    return START + timedelta(days=number)


def _labels() -> pd.DataFrame:
    groups = {"one": 4, "two": 4, "pair": 2}
    rows = [(f"{name}{i}", "abusive", name) for name, size in groups.items() for i in range(size)]
    return pd.DataFrame([*rows, ("good", "benign", None)], columns=["account_id", "label", "group_id"])


def _found(clusters: list[list[str]], seen: list[str]) -> Any:
    members = [(number, account) for number, accounts in enumerate(clusters) for account in accounts]
    return SimpleNamespace(
        accounts=len(seen),
        scores=pd.DataFrame({"account_id": seen, "score": 0.5}),
        members=pd.DataFrame(members, columns=["cluster_id", "account_id"]),
        clusters=pd.DataFrame({"cluster_id": range(len(clusters))}),
    )


def _looked(clusters: list[list[str]], seen: list[str], k: int | None = None) -> tuple[set[str], set[str]]:
    _, found, flagged = _look(START, cast(Any, _found(clusters, seen)), _labels(), k)
    return set(found), set(flagged)


def test_found_is_half_of_who_was_there_and_flagged_is_anybody() -> None:
    seen = ["one0", "one1", "one2", "two0", "two1", "two2", "two3", "good", "x", "y"]
    assert _looked([["one0", "one1", "x"], ["two0", "good", "y"]], seen) == ({"one"}, {"one", "two"})
    assert _looked([["one0", "x", "y"], ["two0", "two1", "two2"]], seen, k=1) == (set(), {"one"})


def test_one_account_is_no_operation_yet() -> None:
    assert _looked([["one0", "x", "y"]], ["one0", "x", "y"]) == (set(), {"one"})
    assert _looked([["one0", "one1", "y"]], ["one0", "one1", "y"]) == ({"one"}, {"one"})


def test_nothing_is_there_to_be_found() -> None:
    assert _looked([], []) == (set(), set())
    moment, _, _ = _look(START, _found([["a", "b", "c"]], ["a", "b", "c"]), _labels(), None)
    assert (moment.groups, moment.found, moment.recovery) == (0, 0, None)


def _events() -> pd.DataFrame:
    rows = [("one", 0, False), ("one", 2, True), ("pair", 3, True), ("one", 4, True), ("two", 5, False)]
    rows += [("one", 9, True), ("two", 30, True)]
    return pd.DataFrame(
        [(group, _day(day), harmful) for group, day, harmful in rows], columns=["group_id", "ts", "harmful"]
    )


def test_delays_by_hand() -> None:
    kinds = pd.DataFrame({"group_id": ["one"], "kind": ["card"]})
    one, two = _operations(_labels(), _events(), _day(20), kinds, {"one": _day(7)}, {"one": _day(7), "two": _day(6)})
    assert (one.kind, one.size, one.first_event, one.first_harm) == ("card", 4, _day(0), _day(2))
    assert (one.days_to_found, one.days_to_flagged, one.days_from_harm) == (7.0, 7.0, 5.0)
    assert (one.harmful_before, one.harmful) == (2, 3)
    assert (two.kind, two.days_to_found, two.days_to_flagged, two.days_from_harm) == (None, None, 1.0, None)
    assert (two.harmful_before, two.harmful) == (0, 0), "what it did after the end is not looked at"


def test_an_operation_found_before_it_does_harm_is_found_at_once() -> None:
    (_, two) = _operations(_labels(), _events(), _day(40), None, {"two": _day(12)}, {})
    assert (two.days_to_found, two.days_from_harm) == (7.0, 0.0)
    assert (two.harmful_before, two.harmful) == (0, 1)


def test_an_operation_that_is_never_found_does_all_its_harm_before() -> None:
    (one, _) = _operations(_labels(), _events(), _day(40), None, {}, {})
    assert (one.harmful_before, one.harmful) == (3, 3)


@given(days)
def test_quantiles_are_values_and_what_is_never_found_is_later_than_any(delays: list[float | None]) -> None:
    ranked = sorted(np.inf if one is None else one for one in delays)
    for share, found in _quantiles(delays, 0).items():
        expected = ranked[max(int(np.ceil(share * len(ranked))) - 1, 0)]
        assert found.value == (None if np.isinf(expected) else expected)
        low, value, high = (np.inf if one is None else one for one in (found.low, found.value, found.high))
        assert low <= value <= high


def test_quantiles_of_nothing_are_undefined() -> None:
    assert {one.value for one in _quantiles([], 0).values()} == {None}
    assert tuple(_quantiles([], 0)) == QUANTILES


@given(st.integers(0, 400), st.integers(1, 200))
def test_moments_rise_by_steps_to_the_end(length: int, step: int) -> None:
    moments = list(_moments(START, _day(length), timedelta(days=step)))
    assert moments == sorted(set(moments))
    assert (moments[0], moments[-1]) == (START, _day(length))
    assert len(moments) == -(-length // step) + 1


def test_spans_of_time() -> None:
    assert [parse_span(text) for text in ("12h", "7d", "2w")] == [timedelta(hours=12), timedelta(7), timedelta(14)]
    for text in ("", "7", "0d", "-1d", "1.5d", "7 days", "99999d"):
        with pytest.raises(UsageError):
            parse_span(text)


def test_the_chart_has_both_curves() -> None:
    operations = _operations(_labels(), _events(), _day(40), None, {"one": _day(7)}, {"one": _day(5), "two": _day(6)})
    text = delay_chart(Replay((), operations, {}, {}))
    assert text.count("<polyline") == 2
    assert "a member flagged" in text
