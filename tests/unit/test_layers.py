"""Layers of time, sign-up, origin and habit find what was planted, and give strangers no more than chance does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.stats import poisson

from ringwatch.graphs.accounts import AccountTable, FloatArray, IntArray
from ringwatch.graphs.comparison import build_model
from ringwatch.graphs.evidence import Contrast, Model, Shared
from ringwatch.graphs.habits import DAY, RHYTHM, SURPRISE, Habit, collect_habits, find_sittings
from ringwatch.graphs.layers import (
    ENTITY_LAYERS,
    Incidence,
    LayerSpec,
    Relation,
    collect_incidences,
    incidence_from,
    query_columns,
)
from ringwatch.graphs.moments import LEAST_USERS, moments
from ringwatch.graphs.pairs import ALL_PAIRS
from ringwatch.graphs.resolve import _tokens
from ringwatch.graphs.signups import BURST_WIDTHS, find_bursts
from ringwatch.graphs.trees import common_roots
from ringwatch.ingest.contract import TOKENS_LOG

MINUTE, HOUR = 60_000_000, 3_600_000_000
START = 20_000 * DAY


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        yield made


def _accounts(created: FloatArray) -> AccountTable:
    ids = [f"a{i:06d}" for i in range(len(created))]
    return AccountTable(pd.DataFrame({"account_id": ids, "created_at": created, "country": -1}), harm_known=False)


def _uses(con: duckdb.DuckDBPyConnection, account: IntArray, address: IntArray, ts: IntArray) -> Incidence:
    """Makes the table `ev`, and who used which address."""
    con.register("rows", pd.DataFrame({"i": account, "ip": address, "ts": ts}))
    con.execute(
        """CREATE OR REPLACE TABLE ev AS
           SELECT i, ip, ts, NULL::BIGINT AS prompt, NULL::BIGINT AS user_agent FROM rows"""
    )
    rows = query_columns(
        con,
        """SELECT i, ip AS entity, count(*) AS n, min(ts)::DOUBLE AS first, max(ts)::DOUBLE AS last FROM ev
           GROUP BY 1, 2 ORDER BY 1, 2""",
    )
    return incidence_from(ENTITY_LAYERS["ip"], rows)


def _pairs(incidence: Incidence) -> set[tuple[int, int]]:
    """All pairs of accounts that share an entity."""
    by = pd.DataFrame({"entity": incidence.entity, "account": incidence.account})
    both = by.merge(by, on="entity")
    both = both[both["account_x"] < both["account_y"]]
    return set(zip(both["account_x"].tolist(), both["account_y"].tolist(), strict=True))


# -- moments ---------------------------------------------------------------------------------------------------------


def _crowd(seed: int, users: int, each: int, days: int) -> tuple[IntArray, IntArray]:
    rng = np.random.default_rng(seed)
    account = np.repeat(np.arange(users), each)
    return account, START + rng.integers(2 * DAY, days * DAY, len(account))


def _together(rng: np.random.Generator, members: IntArray, times: int, days: int) -> tuple[IntArray, IntArray]:
    start = START + rng.integers(2 * DAY, (days - 1) * DAY, times)
    account = np.tile(members, times)
    return account, np.repeat(start, len(members)) + rng.integers(0, 4 * MINUTE, len(account))


def test_who_uses_one_crowded_address_in_the_same_minutes_is_found(con: duckdb.DuckDBPyConnection) -> None:
    users, days = 80, 90
    account, ts = _crowd(1, users, 4, days)
    rng = np.random.default_rng(2)
    members = np.array([3, 17, 42])
    more, at = _together(rng, members, 3, days)
    address = _uses(con, np.r_[account, more], np.zeros(len(account) + len(more), dtype=np.int64), np.r_[ts, at])
    accounts = _accounts(np.full(20_000, float(START)))
    by_name = {one.spec.name: one for one in moments(con, address, accounts)}
    minutes = by_name["ip_minutes"]
    assert {(3, 17), (3, 42), (17, 42)} <= _pairs(minutes)
    assert len(_pairs(minutes)) < 12
    assert (minutes.code == 0).all(), "a moment names the address that it is of"
    first, second = np.array([3, 0]), np.array([17, 1])
    model = build_model(accounts, [address, *by_name.values()], [], first, second, seed=1)
    rarity = {
        layer.name: dict(zip(layer.pair.tolist(), layer.rarity.tolist(), strict=True)) for layer in model.shared
    }
    assert rarity["ip_minutes"][0] > rarity["ip"][0] + 3
    assert 1 not in rarity["ip_minutes"], "strangers share the address, not the minutes"
    assert model.groups == ["network"], "a moment and its address count once"


def test_a_moment_is_called_by_its_address(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE TABLE tokens AS SELECT 'ip' AS entity_type, 77::BIGINT AS entity, 'ip_ab' AS token")
    spec = LayerSpec("ip_day", "network", 0.3, "an IP address within a day", refines="ip", event=True)
    rows = {"i": np.arange(2), "entity": np.full(2, 77), "n": np.ones(2), "first": np.zeros(2), "last": np.zeros(2)}
    named = _tokens(con, incidence_from(spec, rows), np.zeros(1, dtype=np.int64), _accounts(np.zeros(2)))
    assert named.tolist() == ["ip_ab"]


def test_a_moment_is_worth_what_its_users_meet_at_all_moments(con: duckdb.DuckDBPyConnection) -> None:
    """Two that meet by chance at a busy place share a moment of two users, and that is no sign of anything."""
    found = {}
    for each in (2, 6):
        account, ts = _crowd(3, 200, each, 60)
        address = _uses(con, account, np.zeros(len(account), dtype=np.int64), ts)
        (hour,) = (
            one
            for one in moments(con, address, _accounts(np.full(20_000, float(START))))
            if one.spec.name == "ip_hour"
        )
        others = np.bincount(np.array(sorted(_pairs(hour))).ravel(), minlength=200)
        found[each] = (float(np.mean(hour.expected)), float(np.mean(others[hour.account])))
        assert hour.expected.min() >= 1
    assert found[6][0] > 3 * found[2][0]
    for expected, met in found.values():
        assert expected - 1 == pytest.approx(met, rel=0.4), "as many as are met by those who meet anybody"


def test_the_first_day_and_small_entities_have_no_moments(con: duckdb.DuckDBPyConnection) -> None:
    users, days = 80, 90
    account, ts = _crowd(4, users, 4, days)
    more, at = _together(np.random.default_rng(2), np.array([3, 17, 42]), 3, days)
    account, ts = np.r_[account, more], np.r_[ts, at]
    address = _uses(con, account, np.zeros(len(account), dtype=np.int64), ts)
    assert moments(con, address, _accounts(np.full(20_000, float(START))))
    newcomers = np.full(20_000, float(ts.max()))
    assert moments(con, address, _accounts(newcomers)) == [], "what they did on the day of their sign-up is left out"
    few = account < LEAST_USERS - 1
    home = _uses(con, account[few], np.zeros(int(few.sum()), dtype=np.int64), ts[few])
    assert moments(con, home, _accounts(np.full(20_000, float(START)))) == []


def test_the_order_of_events_says_nothing(con: duckdb.DuckDBPyConnection) -> None:
    account, ts = _crowd(5, 80, 6, 60)
    address = account % 3
    found = []
    for order in (np.arange(len(ts)), np.random.default_rng(1).permutation(len(ts))):
        uses = _uses(con, account[order], address[order], ts[order])
        found.append(moments(con, uses, _accounts(np.full(20_000, float(START)))))
    assert len(found[0]) == len(found[1]) > 0
    for one, other in zip(*found, strict=True):
        for name in ("account", "entity", "count", "first", "last", "code", "expected"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


# -- sign-ups --------------------------------------------------------------------------------------------------------

SIGNUP = LayerSpec("signup_burst", "signup", 0.2, "a burst of sign-ups")


def _signups(seed: int, n: int, days: int) -> FloatArray:
    return (START + np.random.default_rng(seed).integers(0, days * DAY, n)).astype(np.float64)


def test_more_sign_ups_than_chance_explains_are_a_burst() -> None:
    created = _signups(1, 4000, 200)
    created[:8] = START + 100 * DAY + np.arange(8) * 40_000_000.0
    burst = find_bursts(SIGNUP, created, np.zeros(4000, dtype=np.int64))
    assert set(range(8)) <= set(burst.account.tolist())
    assert len(set(burst.account.tolist())) < 20
    assert len(find_bursts(SIGNUP, _signups(2, 4000, 200), np.zeros(4000, dtype=np.int64)).account) <= 4


def test_a_day_on_which_everybody_signs_up_is_no_burst_in_each_of_its_hours() -> None:
    created = _signups(3, 4000, 200)
    rng = np.random.default_rng(4)
    created[:1500] = START + 100 * DAY + rng.integers(0, DAY, 1500)
    burst = find_bursts(SIGNUP, created, np.zeros(4000, dtype=np.int64), most=ALL_PAIRS)
    assert len(set(burst.account.tolist())) < 15, "the day is a burst of a crowd, and its hours are like each other"
    script = created.copy()
    kind = rng.integers(0, 40, 4000)
    script[2000:2012], kind[2000:2012] = START + 100 * DAY + 9 * HOUR + np.arange(12) * 30_000_000.0, 7
    found = find_bursts(SIGNUP, script, kind)
    assert set(range(2000, 2012)) <= set(found.account.tolist()), "of one kind in ten minutes it is one"


def test_a_burst_is_dated_and_says_what_was_expected() -> None:
    created = _signups(5, 3000, 300)
    created[:6] = START + 50 * DAY + 5 * HOUR
    burst = find_bursts(SIGNUP, created, np.zeros(3000, dtype=np.int64))
    of = burst.entity[burst.account == 0]
    assert len(of) >= len(BURST_WIDTHS)
    assert (np.abs(burst.code[of] - created[0]) <= max(BURST_WIDTHS)).all()
    assert (burst.expected[of] < 15).all()


# -- relations -------------------------------------------------------------------------------------------------------

REFERRAL = LayerSpec("referral", "referral", 0.1, "a direct referral")


def _relation(edges: list[tuple[int, int]]) -> Relation:
    src, dst = np.array(edges).T
    return Relation(REFERRAL, src, dst, np.ones(len(src), dtype=np.int64))


def test_cousins_have_one_root_and_an_exchange_is_nobodys() -> None:
    tree = [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (5, 6)]
    crowd = [(giver, 20) for giver in range(10, 16)] + [(20, 21), (20, 22)]
    roots = common_roots(_relation(tree + crowd), 30)
    held = {(int(a), int(roots.code[e])) for a, e in zip(roots.account, roots.entity, strict=True)}
    assert held == {(3, 0), (4, 0), (5, 0), (6, 0), (6, 2)}, "two or three steps up, and not by way of the crowd"


def test_circles_have_no_root_in_themselves() -> None:
    roots = common_roots(_relation([(0, 1), (1, 0), (1, 2)]), 3)
    assert all(int(roots.code[e]) != a for a, e in zip(roots.account.tolist(), roots.entity, strict=True))


# -- habits ----------------------------------------------------------------------------------------------------------


def _active(
    con: duckdb.DuckDBPyConnection, account: IntArray, ts: IntArray, n: int, countries: list[str | None] | None = None
) -> dict[str, Habit]:
    _uses(con, account, np.zeros(len(account), dtype=np.int64), ts)
    accounts = _accounts(np.full(n, START - 5.0 * DAY))
    accounts.frame["country"] = pd.factorize(np.array(countries or [None] * n, dtype=object))[0]
    return {habit.name: habit for habit in collect_habits(con, accounts, seed=1)}


def test_strangers_meet_as_often_as_chance_has_it(con: duckdb.DuckDBPyConnection) -> None:
    """Whatever their hours and days: of 400 strangers with days of their own, at most one in 2^b shows b bits."""
    rng = np.random.default_rng(5)
    n, each = 400, 25
    middle, day = rng.uniform(0, 24, n), rng.integers(0, 90, (n, each))
    hour = (middle[:, None] + rng.normal(0, 2, (n, each))) % 24
    ts = (START + day * DAY + hour * HOUR).astype(np.int64)
    team = START + np.tile(30 + np.arange(8) * 5, (6, 1)) * DAY + 9 * HOUR
    account = np.r_[np.repeat(np.arange(n), each), np.repeat(np.arange(n, n + 6), 8)]
    habit = _active(con, account, np.r_[ts.ravel(), team.ravel()], n + 6)["same_times"]
    sittings = find_sittings(con, n + 6)
    assert sittings is not None
    first, second = np.triu_indices(n, 1)
    count, expected = sittings.met(first, second), sittings.expected(first, second)
    assert count.mean() == pytest.approx(expected.mean(), rel=0.15)
    tail = np.asarray(poisson.sf(count - 1, np.maximum(expected, 1e-9)))
    assert np.mean(tail < 2.0**-6) < 2 * 2.0**-6
    band = habit.band(first, second)
    for place, bits in enumerate(SURPRISE, start=1):
        assert (band >= place).mean() < 2 * 2.0**-bits
    mates = habit.band(*(side + n for side in np.triu_indices(6, 1)))
    assert (mates == len(SURPRISE)).all(), "eight sittings together are no chance"
    assert len(habit.words) == len(SURPRISE) + 1


def test_days_that_are_alike(con: duckdb.DuckDBPyConnection) -> None:
    rng = np.random.default_rng(6)
    n, each = 300, 20
    middle = rng.uniform(0, 24, n)
    middle[:5] = 3.0
    middle[5] = 15.0
    hour = (middle[:, None] + rng.normal(0, 1.5, (n, each))) % 24
    ts = (START + rng.integers(0, 90, (n, each)) * DAY + hour * HOUR).astype(np.int64)
    rhythm = _active(con, np.repeat(np.arange(n), each), ts.ravel(), n + 1)["rhythm"]
    first, second = np.array([0, 0, 1, 0, 0]), np.array([1, 2, 3, 5, n])
    band = rhythm.band(first, second)
    assert (band[:3] >= 4).all()
    assert band[3] <= 1, "day and night"
    assert band[4] == -1, "never seen"
    assert len(rhythm.words) == len(RHYTHM) + 1


def test_countries_at_one_moment(con: duckdb.DuckDBPyConnection) -> None:
    account = np.array([0, 1, 2, 3, 4, 5])
    ts = START + np.array([9, 9, 57, 9, 57, 9]) * HOUR
    countries = ["NL", "BR", "BR", "NL", None, "BR", *["NL"] * 30]
    country = _active(con, account, ts, len(countries), countries)["country"]
    first, second = np.array([0, 0, 0, 1, 0]), np.array([1, 2, 3, 5, 4])
    words = [country.words[band] if band >= 0 else "" for band in country.band(first, second).tolist()]
    assert words == [
        "in different countries", "", "in one country that many are in", "in one country that few are in", "",
    ], "whoever was never at work at once is not asked"  # fmt: skip
    assert "country" not in _active(con, account, ts, 6), "nobody has said where"


# -- how they are weighed --------------------------------------------------------------------------------------------


def test_a_contrast_counts_once_with_a_layer_of_its_group() -> None:
    signup = Contrast(
        "signup", "signup", "Sign-ups mostly", np.array([0, 0, 1, 1], dtype=np.int8), np.array([0.125, 0.875]),
        np.array([0.5, 0.5]), ["close", "far"],
    )  # fmt: skip
    at = np.array([0, 2])
    burst = Shared(
        "signup_burst", "signup", "a burst", at, np.array([9.0, 1.5]), np.ones(2, dtype=np.int64), np.arange(2), 0.5,
        np.zeros(2), np.full(2, 2), np.zeros(2, dtype=np.bool_),
    )  # fmt: skip
    none = np.zeros(4, dtype=np.bool_)
    model = Model(100, np.arange(4), np.arange(4, 8), [burst], [signup], {"signup": none}, -10.0)
    far = np.log2(0.5 / 0.875)
    assert model.bits() == pytest.approx([-10 + 8, -10 + 2, -10 + 0.5, -10 + far])
    told = np.full(4, model.prior)
    for reason in model.explain(np.arange(4)):
        told[reason.at] += reason.bits
    assert told == pytest.approx(model.bits())


def test_what_is_implied_is_silent_and_what_only_speaks_against_is_worth_nothing_else() -> None:
    n = 4000
    moment = LayerSpec("ip_minutes", "network", 0.3, "an IP address within minutes of each other")
    rows = {
        "i": np.array([0, 1]),
        "entity": np.array([7, 7]),
        "n": np.ones(2),
        "first": np.zeros(2),
        "last": np.zeros(2),
    }
    side = np.arange(n) % 2

    def same(a: IntArray, b: IntArray) -> npt.NDArray[np.int8]:
        return np.asarray(side[a] == side[b], dtype=np.int8)

    first, second = np.array([0, 2, 3]), np.array([1, 5, 5])
    for against in (True, False):
        habit = Habit("side", "side", "They are mostly", ["apart", "together"], same, frozenset({"network"}), against)
        model = build_model(
            _accounts(np.zeros(n)), [incidence_from(moment, rows)], [], first, second, seed=1, habits=[habit]
        )
        (contrast,) = (one for one in model.contrasts if one.name == "side")
        assert contrast.band.tolist() == [-1, 0, 1], "the pair of one moment is not asked"
        told = replace(contrast, m=np.array([0.2, 0.8]))
        assert told.bits == pytest.approx(
            [0, np.log2(0.2 / contrast.u[0]), 0 if against else np.log2(0.8 / contrast.u[1])]
        )


def test_an_address_among_crowded_ones_is_no_rarer_than_they(con: duckdb.DuckDBPyConnection) -> None:
    """Three users each: one in a carrier's network of addresses with forty, one in a network of homes."""
    rows = [(user, address) for address in range(10) for user in range(address * 40, address * 40 + 40)]
    rows += [(900 + user, 10) for user in range(3)] + [(910 + user, 20) for user in range(3)]
    rows += [(920 + home, 21 + home) for home in range(10)]
    account, address = np.array(rows).T
    _uses(con, account, address, np.full(len(account), START))
    network = np.where(np.arange(31) < 11, "carrier", "homes")
    tokens = pd.DataFrame({"entity_type": "ip", "entity": np.arange(31), "token": "t", "parent": network})
    con.register("known", tokens)
    con.execute(
        f"""CREATE TABLE tokens ({", ".join(f"{name} {kind}" for name, kind in TOKENS_LOG.items())});
            INSERT INTO tokens BY NAME SELECT * FROM known;
            CREATE TABLE ix AS SELECT range AS i, format('a{{:06d}}', range) AS account_id FROM range(1000);
            CREATE TABLE accounts (
                account_id VARCHAR, created_at TIMESTAMPTZ, org_id VARCHAR, email BIGINT, phone BIGINT);
            CREATE TABLE links (account_id VARCHAR, entity_type VARCHAR, entity BIGINT, ts TIMESTAMPTZ, count BIGINT);
            CREATE TABLE entities (entity_type VARCHAR, entity BIGINT, kind VARCHAR);
            ALTER TABLE ev ADD COLUMN device BIGINT; ALTER TABLE ev ADD COLUMN payment BIGINT"""
    )
    found = {one.spec.name: one for one in collect_incidences(con, ())}
    first, second = np.array([900, 910]), np.array([901, 911])
    model = build_model(_accounts(np.zeros(1000)), [found["ip"]], [], first, second, seed=1)
    rarity = model.shared[0].rarity
    assert rarity[1] == pytest.approx(np.log2(1000 / 3))
    assert rarity[0] == pytest.approx(np.log2(1000 / 40), abs=0.1)
