"""Whether harm that is plain to see is an operator's, or that of people whose task or interest it is.

A red team, a clinic and a forum set off the same alarms as an operation does, over and over, so no number of alarms
tells them apart. Three things do. An operator makes accounts in a campaign; people come one by one, as everybody
does, or at once where a company begins. A team mostly is a customer, with an organization of its own, which few
operations have. And an operation has a purpose, where a team tries everything (`abuse.without_purpose`). None is
sure: accounts are bought, classes sign up in a day, and there are malicious organizations. So this bounds what any
harm can reach, as `abuse.unauthorised` does, and a verdict lifts it.

Three signs also speak for or against all clusters, those that no harm is seen at too. Accounts that do harm do not
live long (Thomas and others, "Suspended accounts in retrospect: an analysis of Twitter spam", IMC 2011), so those
that are there were made lately. Accounts that one party works are worked evenly, by a plan or a script, where people
differ many times over in how much they use anything. And people who know each other mostly live in one country,
where an operator has accounts wherever there are cards, phones and proxies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ringwatch.graphs.accounts import AccountTable, FloatArray, IntArray
from ringwatch.graphs.learning import probability
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
"""The most, in bits, that one sign says for abuse or against it."""

LEAST_BROAD = 1.0
"""Of fewer bits it is not told of what categories harm is."""

EVEN = 0.6
"""By how much of everybody's standard deviation an operator's accounts differ in the logarithm of their events."""

USUALLY_EVEN, USUALLY_ABROAD = (0.9, 0.1), (0.4, 0.2)
"""Share of operations, and of people's groups, that are so even, and that are of several countries, before the data
says anything."""

USUAL = 10.0
"""As how many clusters of either that counts."""

HOME, LEAST_KNOWN = 0.75, 3
"""A cluster is of one country where that has this share of its members or more, and so many are known."""

MADE_LAYER, EVEN_LAYER, ABROAD_LAYER = "made_when", "evenness", "countries"
SIGNS = (MADE_LAYER, EVEN_LAYER, ABROAD_LAYER)
"""Layers of what speaks for or against the abuse of clusters, whether harm is seen or not."""

EM_STEPS = 20
SURE = 30.0
"""The log2 likelihood ratio of what is not guessed but counted."""

_BINS = 256


@dataclass(frozen=True)
class Sign:
    """One sign: its layer, the `bits` for the abuse of each cluster, float64[clusters], and what it says of each, in
    one sentence without its end."""

    layer: str
    bits: FloatArray
    text: list[str]


@dataclass(frozen=True)
class Teams:
    """By cluster, the `bits` that it is a team's, if its harm is plain, whatever the harm is, and some of what they
    are of: the bits that it was made in one `campaign`, and the share of its members that are of one `customer`;
    float64[clusters]. And the `signs`, in the order of `SIGNS`."""

    bits: FloatArray
    campaign: FloatArray
    customer: FloatArray
    signs: tuple[Sign, ...]

    def chance(self, broad: FloatArray) -> FloatArray:
        """The chance that each is a team's, by the bits for its harm being of all categories as well."""
        return probability(self.bits + broad)

    def sentences(self, at: IntArray, broad: FloatArray) -> list[str]:
        """What speaks for some of the clusters, each in one sentence without its end."""
        return [
            f"{share:.0%} of its members are of one organization id, its accounts were made {_how(made)}"
            f"{_of_what(kinds)}: by {_share(may)} a team, whose task or interest its prompts are"
            for share, made, kinds, may in zip(
                *(one[at].tolist() for one in (self.customer, self.campaign, broad, self.chance(broad))), strict=True
            )
        ]


def find_teams(accounts: AccountTable, cluster: IntArray, abuse: FloatArray) -> Teams:
    """How likely each cluster is a team's, and what else tells of an operator.

    Args:
        cluster: of each account, -1 for none. abuse: float64[clusters], the probability by what members did.
    """
    count = len(abuse)
    frame = accounts.frame
    org = frame["org"].to_numpy()
    campaign, lately = campaign_bits(accounts.created, cluster, count)
    customer = largest_share(org, cluster, count)
    nobody, whole = ENROLLED
    enrolled = _of_either(campaign, nobody + (whole - nobody) * customer)
    made, late = (_of_either(one, 1 - BOUGHT) - enrolled for one in (campaign, lately))
    operation, team = CUSTOMERS
    # Where nobody has an organization, having none says nothing.
    of_customer = customer * np.log2(operation / team) + (1 - customer) * np.log2((1 - operation) / (1 - team))
    of_customer *= (org >= 0).any()
    bits = np.log2(TEAMS / (1 - TEAMS)) - made - of_customer
    operators = abuse * (1 - probability(bits))
    even = _evenness(frame["events"].to_numpy(dtype=np.float64), cluster, operators, 1 - abuse)
    abroad = _abroad(frame["country"].to_numpy(), cluster, operators, 1 - abuse)
    signs = (_made_when(campaign, np.clip(late, -MOST, MOST)), even, abroad)
    return Teams(bits - even.bits - abroad.bits, campaign, customer, signs)


def _learnt(ratio: FloatArray, operators: FloatArray, people: FloatArray, usual: tuple[float, float]) -> FloatArray:
    """Bits for an operation by something that clusters have or not, float64[clusters]. What shares of operations and
    of people's groups have it is learnt by EM from the clusters, as far as each is the one and the other.

    Args:
        ratio: log2 likelihood of each cluster where it has it against where it has not; 0 where nothing is known.
        operators, people: how far each is an operation, and people's. usual: the shares to begin with.
    """
    shares = list(usual)
    known = ratio != 0
    for _ in range(EM_STEPS):
        for which, weight in enumerate((operators * known, people * known)):
            has = probability(ratio + np.log2(shares[which] / (1 - shares[which])))
            shares[which] = float((weight @ has + USUAL * usual[which]) / (weight.sum() + USUAL))
    return np.clip(_of_either(ratio, shares[0]) - _of_either(ratio, shares[1]), -MOST, MOST)


def _made_when(campaign: FloatArray, late: FloatArray) -> Sign:
    return Sign(
        MADE_LAYER,
        late,
        [
            f"Its accounts were made {_how(made)}, {'as' if worth > 0 else 'unlike'} those of operators who are still"
            " there mostly are"
            for made, worth in zip(campaign.tolist(), late.tolist(), strict=True)
        ],
    )


def _evenness(events: FloatArray, cluster: IntArray, operators: FloatArray, people: FloatArray) -> Sign:
    """How evenly members are at work: their events are log-normal, of everybody's variance or of an operator's."""
    active, count = events > 0, len(people)
    log = np.log(events, out=np.zeros(len(events)), where=active)
    usual = float(log[active].var()) if active.any() else 0.0
    inside = np.flatnonzero(active & (cluster >= 0))
    of, log = cluster[inside], log[inside]
    size = np.bincount(of, minlength=count)
    mean = np.bincount(of, log, minlength=count) / np.maximum(size, 1)
    squares = np.bincount(of, (log - mean[of]) ** 2, minlength=count)
    free = np.maximum(size - 1, 0)
    ratio = -(free * np.log(EVEN) + squares / 2 / max(usual, 1e-9) * (EVEN**-2 - 1)) / np.log(2)
    ratio *= usual > 1e-9  # where everybody does as much, evenness is nobody's sign
    bits = _learnt(ratio, operators, people, USUALLY_EVEN)
    times = np.exp(np.sqrt(squares / np.maximum(free, 1))).tolist()
    everybody = np.exp(np.sqrt(usual))
    return Sign(
        EVEN_LAYER,
        bits,
        [
            f"Its members differ by a factor of {one:.1f} in how much they do, everybody by one of {everybody:.1f}"
            for one in times
        ],
    )


def _abroad(country: IntArray, cluster: IntArray, operators: FloatArray, people: FloatArray) -> Sign:
    """Whether members are of one country, of those that it is known of."""
    count = len(people)
    told = np.where(country >= 0, cluster, -1)
    known = np.bincount(told[told >= 0], minlength=count)
    share = largest_share(country, told, count)
    ratio = np.where(share < HOME, SURE, -SURE)
    ratio[(known < LEAST_KNOWN) | (len(np.unique(country[country >= 0])) < 2)] = 0.0
    bits = _learnt(ratio, operators, people, USUALLY_ABROAD)
    text = [
        f"{'' if one >= HOME else 'No more than '}{one:.0%} of the {of} members whose country is known are of one"
        for one, of in zip(share.tolist(), known.tolist(), strict=True)
    ]
    return Sign(ABROAD_LAYER, bits, text)


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


def largest_share(of: IntArray, cluster: IntArray, count: int) -> FloatArray:
    """The largest share of the members of each cluster that one organization, or country, has; `of` is that of each
    account, -1 for none."""
    some = np.flatnonzero((cluster >= 0) & (of >= 0))
    pairs, members = np.unique(np.stack([cluster[some], of[some]]), axis=1, return_counts=True)
    most = np.zeros(count)
    np.maximum.at(most, pairs[0], members)
    return np.asarray(most / np.maximum(np.bincount(cluster[cluster >= 0], minlength=count), 1))


def _how(campaign: float) -> str:
    return "in one campaign" if campaign > 0 else "over as long as everybody’s"


def _share(part: float) -> str:
    return f"{part:.0%}" if part >= 0.01 else "less than 1%"


def _of_what(broad: float) -> str:
    if abs(broad) < LEAST_BROAD:
        return ""
    return f", and its harm is of {'all categories' if broad > 0 else 'few categories'}"


def _of_either(ratio: FloatArray, share: FloatArray | float) -> FloatArray:
    """log2 likelihood where a `share` has something, by the `ratio` of having it to not having it."""
    return np.asarray(np.logaddexp2(np.log2(share) + ratio, np.log2(1 - share)))
