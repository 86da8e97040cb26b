"""The score of each account: first what nobody's verdict has touched, then what verdicts say on top of it.

Labels are the positives of a biased sample and unlabelled is not benign: nothing of the first score is taken back
because somebody else was judged. Verdicts spread along the edges that stand, and teach which plain traits go with
abuse where that carries over from one operation to another (`graphs.teaching`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from ringwatch.graphs.abuse import Harm, unauthorised
from ringwatch.graphs.accounts import AccountTable, FloatArray, IntArray
from ringwatch.graphs.clusters import Formed, judge_clusters, noisy_or
from ringwatch.graphs.evidence import Model
from ringwatch.graphs.labels import Verdicts, spread
from ringwatch.graphs.layers import Incidence, Relation
from ringwatch.graphs.learning import probability
from ringwatch.graphs.teaching import account_traits, taught

ALONE = 0.3
"""How far an account's own harm counts without a cluster around it: a red teamer is one person, not an operation."""


def untouched_scores(
    accounts: AccountTable,
    model: Model,
    bits: FloatArray,
    formed: Formed,
    harm: Harm | None,
    conduct: Harm | None,
) -> FloatArray:
    """The probability of abuse of each account by events and evidence alone; float64[accounts].

    With harm evidence the chance of either of two things: being a member of an abusive cluster (coordination × abuse
    × membership), or, weighed down by `ALONE`, being of the harmful kind by what the account itself did and wrote.
    `harm` is of events, `conduct` of what is written as well; without them (None) it is the chance of having a mate
    at all (noisy or over candidate pairs), in a cluster coordination × membership.
    """
    inside, worth, aimless = formed.cluster >= 0, formed.coordination, np.zeros(len(accounts))
    if harm is not None:
        abuse = judge_clusters(accounts, formed, harm)
        worth, aimless = worth * abuse.probability, abuse.aimless
    part = np.zeros(len(accounts))
    part[inside] = worth[formed.cluster[inside]] * formed.membership[inside]
    mate = noisy_or(model, bits, slice(None), len(accounts))
    if conduct is None:
        return np.asarray(np.where(inside, part, mate * ALONE))
    own = conduct.posterior * unauthorised(aimless) * (ALONE + (1 - ALONE) * mate * part)
    return np.asarray(1 - (1 - part) * (1 - own))


def account_scores(
    score: FloatArray,
    accounts: AccountTable,
    incidences: Sequence[Incidence],
    relations: Sequence[Relation],
    model: Model,
    bits: FloatArray,
    formed: Formed,
    verdicts: Verdicts,
) -> FloatArray:
    """`score`, which no verdict has touched, moved by what verdicts teach and by what they say of tied accounts;
    float64[accounts]."""
    if len(verdicts.account) == 0:
        return score
    labelled = verdicts.labelled
    known = verdicts.account[labelled]
    mates = np.where(formed.cluster >= 0, np.append(formed.size, 0)[formed.cluster], 1)
    odds = taught(
        score,
        account_traits(accounts, incidences, relations, mates),
        known,
        (verdicts.bits[labelled] > 0).astype(np.float64),
        drawn_together(formed.cluster[known], verdicts.group[labelled]),
    )
    return probability(odds + spread(model, bits, verdicts))


def drawn_together(*groups: IntArray) -> IntArray:
    """Who was drawn together: the accounts of one group (-1 for none) of any of the groupings; numbered from 0."""
    n = len(groups[0])
    account, node, nodes = [], [], n
    for group in groups:
        some = np.flatnonzero(group >= 0)
        account.append(some)
        node.append(nodes + group[some])
        nodes += int(group.max(initial=-1)) + 1
    ends = np.concatenate(account), np.concatenate(node)
    graph = sp.coo_matrix((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(nodes, nodes))
    joined = sp.csgraph.connected_components(graph, directed=False)[1][:n]
    return np.asarray(np.unique(joined, return_inverse=True)[1], dtype=np.int64)
