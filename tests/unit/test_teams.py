"""People whose task harm is are told from an operator by when their accounts were made, and by whose they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ringwatch.graphs.accounts import DAY, AccountTable, BoolArray
from ringwatch.graphs.clusters import _signs
from ringwatch.graphs.standing import BOUGHT
from ringwatch.graphs.teams import (
    ENROLLED,
    LATE,
    MOST,
    TEAMS,
    USUALLY_ABROAD,
    USUALLY_EVEN,
    _abroad,
    _evenness,
    campaign_bits,
    find_teams,
    largest_share,
)

EACH, EVERYBODY = 10, 2000
GROUPS = ("campaign", "people", "customer in a campaign", "customer", "nobody knows when")
CLUSTER = np.r_[np.repeat(np.arange(len(GROUPS)), EACH), np.full(EVERYBODY, -1)]


def _accounts(*, organizations: bool = True) -> AccountTable:
    rng = np.random.default_rng(3)
    everybody = np.sort(rng.uniform(0, 400, EVERYBODY)) * DAY
    over = np.quantile(everybody, np.linspace(0.05, 0.95, EACH))
    within = 300 * DAY + rng.uniform(0, 2, EACH) * DAY
    created = np.r_[within, over, within, over, np.full(EACH, np.nan), everybody]
    org = np.full(len(created), -1)
    if organizations:
        org[np.isin(CLUSTER, [2, 3])] = 0
    ids = [f"a{k:04}" for k in range(len(created))]
    frame = pd.DataFrame({"account_id": ids, "created_at": created, "org": org, "events": 0, "country": -1})
    return AccountTable(frame, harm_known=True)


def test_accounts_of_one_day_are_a_campaign_and_those_of_all_days_are_not() -> None:
    bits, _ = campaign_bits(_accounts().created, CLUSTER, len(GROUPS))
    assert bits[0] > 15 and bits[1] < -5 and bits[4] == pytest.approx(0), "nothing is known of the last"
    assert bits[0] == pytest.approx(bits[2]) and bits[1] == pytest.approx(bits[3])


def test_a_campaign_may_have_strays_and_where_in_time_it_was_says_nothing_of_whether_it_is_one() -> None:
    everybody = np.linspace(0, 400, EVERYBODY)
    made = np.r_[np.full(9, 30.0), 250.0, np.full(9, 360.0), 10.0, everybody]
    cluster = np.r_[np.repeat([0, 1], 10), np.full(EVERYBODY, -1)]
    bits, _ = campaign_bits(made, cluster, 2)
    assert bits.min() > 10 and bits[0] == pytest.approx(bits[1], abs=1)


def test_the_later_a_campaign_the_more_it_is_an_operators_who_is_still_there() -> None:
    everybody = np.linspace(0, 400, EVERYBODY)
    made = np.r_[np.full(10, 30.0), np.full(10, 200.0), np.full(10, 390.0), np.linspace(5, 395, 10), everybody] * DAY
    cluster = np.r_[np.repeat(np.arange(4), 10), np.full(EVERYBODY, -1)]
    ids = np.arange(len(made)).astype(str)
    frame = pd.DataFrame({"account_id": ids, "created_at": made, "org": -1, "events": 0, "country": -1})
    teams = find_teams(AccountTable(frame, harm_known=True), cluster, np.zeros(4))
    early, middle, late, never = teams.signs[0].bits.tolist()
    assert early < 0 < middle < late <= MOST and never < 0
    assert early + LATE > late, "of everybody at once some are a class"
    told, *others = _signs(teams)
    assert all(one.empty for one in others), "nothing is known of what they do, and where"
    assert told["cluster"].tolist() == [1, 2, 3] and told["against"].tolist() == [False, False, True]
    assert "in one campaign, as those of operators" in told["text"][1]
    assert "as long as everybody’s, unlike" in told["text"][2]


def test_accounts_that_one_party_works_are_worked_evenly() -> None:
    rng = np.random.default_rng(7)
    everybody = np.exp(rng.normal(3, 1.2, EVERYBODY)).astype(int) + 1
    even, uneven = [20, 22, 30, 18, 25, 21, 19, 28], [1, 400, 20, 3, 90, 7, 1000, 15]
    events = np.r_[even, uneven, [20, 22, 30], np.full(8, 0), everybody]
    cluster = np.r_[np.repeat([0, 1], 8), [2, 2, 2], np.full(8, 3), np.full(EVERYBODY, -1)]
    nothing = np.zeros(4)
    sign = _evenness(events.astype(float), cluster, nothing, nothing)
    operation, people = USUALLY_EVEN
    assert sign.bits[0] == pytest.approx(min(np.log2(operation / people), MOST), abs=0.5)
    assert sign.bits[1] == pytest.approx(max(np.log2((1 - operation) / (1 - people)), -MOST), abs=0.2)
    assert 0 < sign.bits[2] < sign.bits[0] - 0.5, "three may be as even by chance"
    assert sign.bits[3] == pytest.approx(0), "nobody did anything"
    assert "by a factor of 1.2" in sign.text[0] and "everybody by one of 3.1" in sign.text[0]
    same = _evenness(np.full(len(cluster), 5.0), cluster, nothing, nothing)
    assert same.bits.tolist() == pytest.approx([0, 0, 0, 0]), "where all are alike it tells nobody"


def test_members_of_several_countries_are_an_operators_rather() -> None:
    country = np.array([4, 4, 4, 7, 1, 2, 4, 5, 4, -1, -1, 3, 9, 9])
    cluster = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, -1, -1])
    nothing = np.zeros(3)
    sign = _abroad(country, cluster, nothing, nothing)
    operation, people = USUALLY_ABROAD
    home = np.log2((1 - operation) / (1 - people))
    assert sign.bits.tolist() == pytest.approx([home, np.log2(operation / people), 0]), "of the last two are known"
    assert sign.text[0] == "75% of the 4 members whose country is known are of one"
    assert sign.text[1] == "No more than 25% of the 4 members whose country is known are of one"
    same = _abroad(np.where(country < 0, -1, 4), cluster, nothing, nothing)
    assert same.bits.tolist() == pytest.approx([0, 0, 0]), "where all are of one it says nothing"


def test_how_much_a_sign_says_is_learnt_from_what_clusters_did() -> None:
    clusters = 100
    abroad = np.arange(clusters) % 2 == 0
    country = np.where(np.repeat(abroad, 4), np.tile([1, 2, 3, 4], clusters), 1)
    cluster = np.repeat(np.arange(clusters), 4)
    does_harm = np.arange(clusters) < 40

    def said(operators: BoolArray) -> list[float]:
        weight = operators.astype(np.float64)
        found: list[float] = _abroad(country, cluster, weight, np.asarray(1 - weight)).bits[:2].tolist()
        return found

    usual = _abroad(country, cluster, np.zeros(clusters), np.zeros(clusters)).bits
    # Harm at the clusters of several countries, at those of one, and at as many of either.
    with_harm, without, either = said(does_harm & abroad), said(does_harm & ~abroad), said(does_harm)
    assert with_harm[0] > usual[0] > 0 > usual[1] > with_harm[1]
    assert without[0] < 0 < without[1], "then it speaks for people"
    assert abs(either[0]) < 0.3 and abs(either[1]) < 0.3, "then it says next to nothing"


def test_what_people_are_made_of_says_so_within_bounds() -> None:
    teams = find_teams(_accounts(), CLUSTER, np.zeros(len(GROUPS)))
    nothing = np.zeros(len(GROUPS))
    chance = dict(zip(GROUPS, teams.chance(nothing).tolist(), strict=True))
    assert chance["campaign"] < 0.1 < chance["people"] < chance["customer"]
    assert 0.3 < chance["customer in a campaign"] < chance["customer"] < 0.8, "a company begins at once, mostly"
    assert (teams.chance(nothing + 3) > teams.chance(nothing)).all(), "what is of all categories is a team's rather"
    assert teams.customer.tolist() == [0, 0, 1, 1, 0]
    without = find_teams(_accounts(organizations=False), CLUSTER, np.zeros(len(GROUPS)))
    odds = np.exp2(without.bits) / (TEAMS / (1 - TEAMS))
    assert odds[4] == pytest.approx(1), "nothing is known of the last, and of customers"
    assert odds[0] == pytest.approx(ENROLLED[0] / (1 - BOUGHT), rel=0.01)
    assert odds[1] == pytest.approx((1 - ENROLLED[0]) / BOUGHT, rel=0.05)


def test_the_largest_organization_of_a_cluster_counts() -> None:
    org = np.array([4, 4, 7, -1, 7, 9])
    assert largest_share(org, np.array([0, 0, 0, 0, 1, -1]), 3).tolist() == [0.5, 1, 0]


def test_what_people_are_made_of_is_told_of_those_it_is_asked_of() -> None:
    teams = find_teams(_accounts(), CLUSTER, np.zeros(len(GROUPS)))
    told = teams.sentences(np.array([2, 3, 4]), np.array([0.0, 0, 2, -2, 0]))
    assert "100% of its members" in told[1] and "as everybody’s" in told[1]
    assert "in one campaign" in told[0]
    assert [("all categories" in text, "few categories" in text) for text in told] == [
        (True, False), (False, True), (False, False),
    ]  # fmt: skip
