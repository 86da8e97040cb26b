"""Abuse without labels: how far an account's, and a cluster's, harm rate departs from what honest use shows.

Accounts are a mixture of two beta-binomials over (harmful, judged) events, fitted by EM; a beta-binomial, because
one honest person's false alarms come in runs. A cluster is compared as a whole: under "abusive" each member is of
the harmful kind with a chance that is one of a few, since not every member of an operation is caught at it; under
"benign" with one of a few low chances, since honest groups differ in what sets off alarms. How many clusters there
are of each chance is learnt from all of them (the nonparametric mixture of Laird, JASA 1978, on a fixed grid).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, expit, gammaln

from ringwatch.graphs.accounts import Categories, FloatArray, IntArray

BENIGN_PRECISION = 20.0
ABUSIVE_PRECISION = 3.0
EM_STEPS = 50
CAUGHT = (0.2, 0.4, 0.65, 0.9)
"""Shares of an operation's members whose harm may be seen."""

SUSPECT = (0.005, 0.02, 0.06)
"""Shares of an honest group's members that may look harmful all the same."""

USUAL_SHARE = 0.2
USUAL_CLUSTERS = 2.0
"""The share of abusive clusters before anything is known, and how many clusters that weighs."""

AUTHORISED = 0.8
"""How often harm from a known institution's own addresses is a team that tests safeguards, or a class about them."""

OWN_PURPOSE, NO_PURPOSE = 2.0, 8.0
"""What the usual mix of categories weighs, in draws, where harm has a purpose of its own, and where it has none: who
tests safeguards has favourites too."""

RESOLD = 0.1
"""Share of operations of whose accounts each has a purpose of its own, since they are resold."""

LEAST_SHARE = 1e-4
LARGEST_RATIO = 12.0
"""Bound, in bits, of what one account's harm can say: a red teamer is one person."""


@dataclass(frozen=True)
class Harm:
    """Per account: bits for "abusive" from its own harm rate, and the share of accounts that look so."""

    bits: FloatArray
    share: float

    @property
    def posterior(self) -> FloatArray:
        """Probability that an account is of the flagged kind, by its own events alone; float64[accounts]."""
        return abuse_probability(self.bits, self.share)


def account_harm(harmful: IntArray, judged: IntArray) -> Harm:
    """Fits the mixture on counts of harmful among judged events; arrays of one length."""
    if len(harmful) == 0:
        return Harm(np.zeros(0), LEAST_SHARE)
    counts, inverse, weight = np.unique(
        np.column_stack([harmful, judged]), axis=0, return_inverse=True, return_counts=True
    )
    h, n = counts[:, 0].astype(float), counts[:, 1].astype(float)
    overall = (h * weight).sum() / max((n * weight).sum(), 1.0)
    low, high, share = max(overall / 2, 1e-4), min(max(0.2, 4 * overall), 0.95), 0.02
    bits = np.zeros(len(h))
    for _ in range(EM_STEPS):
        bits = (_beta_binomial(h, n, high, ABUSIVE_PRECISION) - _beta_binomial(h, n, low, BENIGN_PRECISION)) / np.log(
            2
        )
        p = abuse_probability(bits, share)
        share = float(np.clip((p * weight).sum() / weight.sum(), LEAST_SHARE, 0.4))
        low = float(np.clip(((1 - p) * weight * h).sum() / max(((1 - p) * weight * n).sum(), 1.0), 1e-4, 0.2))
        flagged = max((p * weight * n).sum(), 1.0)
        high = float(np.clip(((p * weight * h).sum() + 2.0) / (flagged + 10.0), max(0.1, 4 * low), 0.95))
    return Harm(np.clip(bits, -LARGEST_RATIO, LARGEST_RATIO)[inverse.ravel()], share)


def _beta_binomial(h: FloatArray, n: FloatArray, mean: float, precision: float) -> FloatArray:
    """Log likelihood of h of n without the binomial coefficient, which cancels in the ratio."""
    a, b = mean * precision, (1 - mean) * precision
    return np.asarray(betaln(h + a, n - h + b) - betaln(a, b))


@dataclass(frozen=True)
class Rates:
    """What share of clusters is abusive and of each of `CAUGHT`, and benign and of each of `SUSPECT`; together 1."""

    caught: FloatArray
    suspect: FloatArray

    @property
    def share(self) -> float:
        """What share of clusters is abusive."""
        return float(self.caught.sum())

    @property
    def base(self) -> float:
        """The bits that any cluster begins with."""
        return float(np.log2(self.share / (1 - self.share)))


USUAL_RATES = Rates(
    np.full(len(CAUGHT), USUAL_SHARE / len(CAUGHT)), np.full(len(SUSPECT), (1 - USUAL_SHARE) / len(SUSPECT))
)


def learn_rates(harm: Harm, cluster: IntArray, clusters: int) -> Rates:
    """The rates of `clusters` clusters by EM from the usual ones; `cluster` is that of each account, -1 for none."""
    usual = np.r_[USUAL_RATES.caught, USUAL_RATES.suspect]
    likely = _likelihoods(harm, cluster, clusters)
    rates = usual
    for _ in range(EM_STEPS):
        each = likely + np.log2(rates)[:, None]
        each -= np.logaddexp2.reduce(each, axis=0)
        rates = (np.exp2(each).sum(axis=1) + USUAL_CLUSTERS * usual) / (clusters + USUAL_CLUSTERS)
    return Rates(rates[: len(CAUGHT)], rates[len(CAUGHT) :])


def cluster_bits(harm: Harm, cluster: IntArray, clusters: int, rates: Rates = USUAL_RATES) -> FloatArray:
    """Bits for "this cluster is abusive", from the members' own bits; float64[clusters].

    `cluster` is the cluster of each account, -1 for none.
    """
    likely = _likelihoods(harm, cluster, clusters)

    def mixed(parts: FloatArray, weight: FloatArray) -> FloatArray:
        return np.asarray(np.logaddexp2.reduce(parts + np.log2(weight / weight.sum())[:, None], axis=0))

    return mixed(likely[: len(CAUGHT)], rates.caught) - mixed(likely[len(CAUGHT) :], rates.suspect)


def _likelihoods(harm: Harm, cluster: IntArray, clusters: int) -> FloatArray:
    """log2 likelihood of each cluster by the share of its members that is of the harmful kind; float64[shares,
    clusters], up to what all shares have in common."""
    members = np.flatnonzero(cluster >= 0)
    ratio = np.exp2(harm.bits[members])
    parts = [
        np.bincount(cluster[members], np.log2(share * ratio + 1 - share), minlength=clusters)
        for share in (*CAUGHT, *SUSPECT)
    ]
    return np.asarray(parts)


def unauthorised(task: FloatArray) -> FloatArray:
    """The chance that harm is nobody's task, by how surely it is one: the share of a cluster's events at a known
    institution's addresses, or of harm that has no purpose of its own (`without_purpose`).

    Harm that is plain to see says nothing of who asked for it, so this bounds what any number of bits can reach.
    """
    return np.asarray(1 - AUTHORISED * task)


def without_purpose(
    harm: Harm, categories: Categories, abuse: FloatArray, cluster: IntArray
) -> tuple[FloatArray, FloatArray]:
    """How surely the harm of each account is a test of safeguards or a classifier's noise, and the bits for that of
    each cluster.

    An operation has a purpose, and where it resells its accounts each customer has one; who tests safeguards tries
    everything, and false alarms come from everything. It counts as far as abuse has a purpose in this data at all: as
    far as what remains of `abuse` is not of all categories itself.
    """
    count = len(abuse)
    broad = purposeless(categories, np.arange(len(cluster)), len(cluster))
    harmful = np.where(harm.bits > 0, cluster, -1)
    member = np.flatnonzero(harmful >= 0)
    each = np.bincount(harmful[member], broad[member], minlength=count)
    together = purposeless(categories, harmful, count)
    bits = -np.logaddexp2(np.log2(1 - RESOLD) - together, np.log2(RESOLD) - each)
    share = _surely(bits)
    remains = abuse * unauthorised(share)
    purpose = 1 - float(remains @ share) / max(float(remains.sum()), 1e-9)
    return _surely(broad) * purpose, bits * purpose


def purposeless(categories: Categories, group: IntArray, count: int) -> FloatArray:
    """Bits for the harm of each of `count` groups being of all categories, against its having a purpose of its own;
    float64[count]. `group` is that of each account, -1 for none.

    Categories of a group are Dirichlet-multinomial about the usual mix (Minka, "Estimating a Dirichlet distribution",
    2000): of little weight where it has a purpose, of more where it has none. What one account does comes in runs, so
    n events of it are as many draws as tables that n guests of a Chinese restaurant sit at, log(1 + n) of them
    (Pitman, "Combinatorial stochastic processes", 2006, section 3).
    """
    usual = np.bincount(categories.kind) / max(len(categories.kind), 1)
    total = np.bincount(categories.account, categories.count, minlength=len(group))
    inside = np.flatnonzero(group[categories.account] >= 0)
    account, kind, events = categories.account[inside], categories.kind[inside], categories.count[inside]
    drawn = events * np.log1p(total[account]) / total[account]
    place, row = np.unique(group[account] * len(usual) + kind, return_inverse=True)
    draws = np.bincount(row, drawn, minlength=len(place))
    of, kind = np.divmod(place, max(len(usual), 1))
    every = np.bincount(of, draws, minlength=count)

    def likelihood(weight: float) -> FloatArray:
        prior = weight * usual[kind]
        each = np.bincount(of, gammaln(prior + draws) - gammaln(prior), minlength=count)
        return np.asarray(each + gammaln(weight) - gammaln(weight + every))

    return np.asarray((likelihood(NO_PURPOSE) - likelihood(OWN_PURPOSE)) / np.log(2))


def _surely(bits: npt.NDArray[Any]) -> FloatArray:
    """By how much of itself the one is likelier than the other, 0 to 1; nothing where it is not."""
    return np.asarray(1 - np.exp2(-np.maximum(bits, 0.0)))


def abuse_probability(bits: FloatArray, share: float) -> FloatArray:
    """Posterior that each account, or cluster, is abusive, where a `share` of them is."""
    return np.asarray(expit(bits * np.log(2) + np.log(share / (1 - share))))
