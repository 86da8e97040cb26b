"""People whose task harm is are told from an operator by when their accounts were made, and by whose they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ringwatch.graphs.accounts import DAY, AccountTable
from ringwatch.graphs.clusters import Abuse, _made_when, _tasks
from ringwatch.graphs.standing import BOUGHT
from ringwatch.graphs.teams import ENROLLED, LATE, MOST, TEAMS, campaign_bits, customer_share, find_teams

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
    return AccountTable(pd.DataFrame({"account_id": ids, "created_at": created, "org": org}), harm_known=True)


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
    frame = pd.DataFrame({"account_id": np.arange(len(made)).astype(str), "created_at": made, "org": -1})
    teams = find_teams(AccountTable(frame, harm_known=True), cluster, 4)
    early, middle, late, never = teams.late.tolist()
    assert early < 0 < middle < late <= MOST and never < 0
    assert early + LATE > late, "of everybody at once some are a class"
    told = _made_when(teams)
    assert told["cluster"].tolist() == [1, 2, 3] and told["against"].tolist() == [False, False, True]
    assert "in one campaign, as those of operators" in told["text"][1]
    assert "as long as everybody’s, unlike" in told["text"][2]


def test_what_people_are_made_of_says_so_within_bounds() -> None:
    teams = find_teams(_accounts(), CLUSTER, len(GROUPS))
    nothing = np.zeros(len(GROUPS))
    chance = dict(zip(GROUPS, teams.chance(nothing).tolist(), strict=True))
    assert chance["campaign"] < 0.1 < chance["people"] < chance["customer"]
    assert 0.3 < chance["customer in a campaign"] < chance["customer"] < 0.8, "a company begins at once, mostly"
    assert (teams.chance(nothing + 3) > teams.chance(nothing)).all(), "what is of all categories is a team's rather"
    assert teams.customer.tolist() == [0, 0, 1, 1, 0]
    without = find_teams(_accounts(organizations=False), CLUSTER, len(GROUPS))
    odds = np.exp2(without.bits) / (TEAMS / (1 - TEAMS))
    assert odds[4] == pytest.approx(1), "nothing is known of the last, and of customers"
    assert odds[0] == pytest.approx(ENROLLED[0] / (1 - BOUGHT), rel=0.01)
    assert odds[1] == pytest.approx((1 - ENROLLED[0]) / BOUGHT, rel=0.05)


def test_the_largest_organization_of_a_cluster_counts() -> None:
    org = np.array([4, 4, 7, -1, 7, 9])
    assert customer_share(org, np.array([0, 0, 0, 0, 1, -1]), 3).tolist() == [0.5, 1, 0]


def test_reasons_say_what_was_found_and_verdicts_take_them_away() -> None:
    teams = find_teams(_accounts(), CLUSTER, len(GROUPS))
    nothing = np.zeros(len(GROUPS))
    broad = np.array([0.0, 0, 2, -2, 0])
    chance = teams.chance(broad)
    settled = np.where(np.arange(len(GROUPS)) == 1, 0.0, chance)
    *_, told = _tasks(teams, Abuse(nothing + 1, nothing, broad, settled, nothing, nothing))
    assert told["cluster"].tolist() == [2, 3, 4]
    assert told["bits"].tolist() == pytest.approx(np.log2(1 - chance[2:]), abs=1e-3)
    assert "100% of its members" in told["text"][1] and "as everybody’s" in told["text"][1]
    assert "in one campaign" in told["text"][0]
    assert [("all categories" in text, "few categories" in text) for text in told["text"]] == [
        (True, False), (False, True), (False, False),
    ]  # fmt: skip
    *_, harmless = _tasks(teams, Abuse(nothing, nothing, nothing, settled, nothing, nothing))
    assert harmless.empty
