"""Whether harm that is plain to see is an operator's, or that of people whose task or interest it is.

A red team, a clinic and a forum set off the same alarms as an operation does, over and over, so no number of alarms
tells them apart. Two things do that harm has no part in. An operator makes accounts in a campaign; people come one by
one, as everybody does. And a team mostly is a customer, with an organization of its own, which few operations have.
Neither is sure: accounts are bought, classes sign up in a day, and there are malicious organizations. So this bounds
what any harm can reach, as `abuse.unauthorised` does, and a verdict lifts it.

When accounts were made also speaks for or against all clusters, those that no harm is seen at too. Accounts that do
harm do not live long (Thomas and others, "Suspended accounts in retrospect: an analysis of Twitter spam", IMC 2011),
so those that are there were made lately.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from ringwatch.graphs.accounts import AccountTable, FloatArray, IntArray
from ringwatch.graphs.standing import BOUGHT

TEAM_LAYER = "team"

TEAMS = 1 / 4
"""Share of teams among groups whose harm is plain, before anything else is known of them."""

ENROLLED = 0.2, 0.6
"""Share of honest groups whose accounts were made at once: a class, of those that are no customer's, and of those of
one customer, which begins to use the product."""

CUSTOMERS = 0.15, 0.5
"""Share of operations that are one customer's organization, and of teams."""

STRAY = 0.1
"""Share of a campaign's accounts that were made at another time."""

LATE = 4.0
"""How many times likelier, in octaves, a campaign of operators that are still there is at the end of all time than at
its beginning. People who sign up at once do so at any time."""

MOST = 3.0
"""The most, in bits, that it says for abuse or against it when accounts were made."""

LEAST_TOLD = 1.0
"""Of fewer bits it is not told of what categories harm is."""

MADE_LAYER = "made_when"

_BINS = 256


@dataclass(frozen=True)
class Teams:
    """By cluster, the `bits` that it is a team's, if its harm is plain, whatever the harm is, and what they are of:
    the bits that it was made in one `campaign`, and the share of its members that are of one `customer`. And `late`,
    the bits for abuse by when it was made, within `MOST`. All float64[clusters]."""

    bits: FloatArray
    campaign: FloatArray
    late: FloatArray
    customer: FloatArray

    def chance(self, broad: FloatArray) -> FloatArray:
        """The chance that each is a team's, by the bits for its harm being of all categories as well."""
        return np.asarray(expit((self.bits + broad) * np.log(2)))

    def told_late(self, at: IntArray) -> list[str]:
        """What `late` says of some of the clusters, each in one sentence without its end."""
        return [
            f"Its accounts were made {_how(made)}, {'as' if worth > 0 else 'unlike'} those of operators who are still"
            " there mostly are"
            for made, worth in zip(self.campaign[at].tolist(), self.late[at].tolist(), strict=True)
        ]

    def sentences(self, at: IntArray, broad: FloatArray) -> list[str]:
        """What speaks for some of the clusters, each in one sentence without its end."""
        return [
            f"{share:.0%} of its members are of one organization id, its accounts were made {_how(made)}"
            f"{_of_what(kinds)}: by {may:.0%} a team whose task or interest such prompts are"
            for share, made, kinds, may in zip(
                *(one[at].tolist() for one in (self.customer, self.campaign, broad, self.chance(broad))), strict=True
            )
        ]


def find_teams(accounts: AccountTable, cluster: IntArray, count: int) -> Teams:
    """How likely each of `count` clusters is a team's; `cluster` is that of each account, -1 for none."""
    campaign, lately = campaign_bits(accounts.created, cluster, count)
    customer = customer_share(accounts.frame["org"].to_numpy(), cluster, count)
    nobody, whole = ENROLLED
    enrolled = _of_either(campaign, nobody + (whole - nobody) * customer)
    made, late = (_of_either(one, 1 - BOUGHT) - enrolled for one in (campaign, lately))
    operation, team = CUSTOMERS
    # Where nobody has an organization, having none says nothing.
    of_customer = customer * np.log2(operation / team) + (1 - customer) * np.log2((1 - operation) / (1 - team))
    of_customer *= (accounts.frame["org"].to_numpy() >= 0).any()
    bits = np.log2(TEAMS / (1 - TEAMS)) - made - of_customer
    return Teams(bits, campaign, np.clip(late, -MOST, MOST), customer)


def campaign_bits(created: FloatArray, cluster: IntArray, count: int) -> tuple[FloatArray, FloatArray]:
    """log2 likelihood of when the accounts of each cluster were made, in one campaign against as everybody's, where a
    campaign may be at any time, and where it is `LATE`; float64[clusters] each.

    Time is measured in accounts made, so that everybody's are spread evenly over it. A campaign is a stretch of any
    length between a half and 1/128 of it, and `STRAY` of its accounts are everybody's.
    """
    known = np.flatnonzero(np.isfinite(created))
    order = np.sort(created[known])
    middle = np.searchsorted(order, created[known], "left") + np.searchsorted(order, created[known], "right")
    place = np.minimum(middle * _BINS // (2 * max(len(order), 1)), _BINS - 1)
    of = cluster[known]
    counts = np.bincount(of[of >= 0] * _BINS + place[of >= 0], minlength=count * _BINS).reshape(count, _BINS)
    before = np.pad(counts.cumsum(axis=1), ((0, 0), (1, 0)))
    lengths = 2 ** np.arange(1, 8)
    anywhere, late = [], []
    for length in lengths.tolist():
        start = np.arange(0, _BINS - length + 1, length // 2)
        within = before[:, start + length] - before[:, start]
        likely = within * np.log2(STRAY + (1 - STRAY) * _BINS / length) + (before[:, -1:] - within) * np.log2(STRAY)
        anywhere.append(np.logaddexp2.reduce(likely, axis=1) - np.log2(len(start)))
        share = np.exp2(LATE * start / _BINS)
        late.append(np.logaddexp2.reduce(likely + np.log2(share / share.sum()), axis=1))
    of_any, of_late = (np.logaddexp2.reduce(each, axis=0) - np.log2(len(lengths)) for each in (anywhere, late))
    return np.asarray(of_any), np.asarray(of_late)


def customer_share(org: IntArray, cluster: IntArray, count: int) -> FloatArray:
    """The largest share of the members of each cluster that one organization has; `org` is that of each account, -1
    for none."""
    some = np.flatnonzero((cluster >= 0) & (org >= 0))
    pairs, members = np.unique(np.stack([cluster[some], org[some]]), axis=1, return_counts=True)
    most = np.zeros(count)
    np.maximum.at(most, pairs[0], members)
    return np.asarray(most / np.maximum(np.bincount(cluster[cluster >= 0], minlength=count), 1))


def _how(campaign: float) -> str:
    return "in one campaign" if campaign > 0 else "over as long as everybody’s"


def _of_what(broad: float) -> str:
    if abs(broad) < LEAST_TOLD:
        return ""
    return f", and its harm is of {'all categories' if broad > 0 else 'few categories'}"


def _of_either(campaign: FloatArray, share: FloatArray | float) -> FloatArray:
    """log2 likelihood where a `share` is made in a campaign."""
    return np.asarray(np.logaddexp2(np.log2(share) + campaign, np.log2(1 - share)))
