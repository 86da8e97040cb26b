"""Verdicts as evidence: what is known of some accounts raises or lowers the abuse of those tied to them.

Known labels are spread along the evidence by linearised belief propagation (Gatterbauer, Günnemann, Koutra and
Faloutsos, "Linearized and single-pass belief propagation", VLDB 2015) over the edges that stand, each as strong as
its chance to be one operator's. The result is bits for "abusive" of every account, to be added to those of its score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb
import numpy as np
import scipy.sparse as sp

from ringwatch.graphs.abuse import Harm
from ringwatch.graphs.accounts import BoolArray, FloatArray, IntArray
from ringwatch.graphs.evidence import STAND, Model
from ringwatch.graphs.layers import query_columns
from ringwatch.graphs.learning import probability

LATEST = """
    SELECT account_id, arg_max(label, (labelled_at, content_key)) AS label, max(labelled_at) AS labelled_at,
           arg_max({'g': group_id}, (labelled_at, content_key)).g AS group_id
    FROM labels GROUP BY account_id"""
"""Of several labels of an account the latest (account_id, label, labelled_at, group_id)."""

LABEL_BITS = 6.0
"""What a reviewer's label says of the account itself."""

VERDICT_BITS = 4.0
"""The most that a suspension can say: taken for some reason, by whoever could."""

SUSPENSIONS = 20.0
"""How many accounts the usual rate of suspensions weighs when it is asked how often the abusive are suspended."""

STEPS = 6
COUPLING = 0.5
"""How much of a neighbour's belief passes along a certain tie, before normalisation."""

MOST_BITS = 8.0


@dataclass(frozen=True)
class Verdicts:
    """What is known of accounts: `account` (indexes, rising), `bits` for "abusive" (negative: for benign), whether it
    was `labelled` or only suspended, and `group`, the code of the operation a label names, -1 for none."""

    account: IntArray
    bits: FloatArray
    labelled: BoolArray
    group: IntArray


NO_VERDICTS = Verdicts(
    np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.int64)
)


def collect_verdicts(con: duckdb.DuckDBPyConnection, score: FloatArray) -> Verdicts:
    """The latest label of each account, else a suspension. Needs `ix`; the views show what was known at `as_of`.

    Who is suspended for spam, for a debt or by mistake is not abusive for that: what a suspension is worth is how
    much more of the abusive are suspended than of the others, by labels and, where there are none, by `score`
    (float64[accounts], probabilities that no verdict has touched).
    """
    rows = query_columns(
        con,
        f"""SELECT ix.i, l.label = 'abusive' AS abusive, l.label IS NOT NULL AS labelled,
                  coalesce(a.status = 'suspended', false) AS down,
                  dense_rank() OVER (ORDER BY l.group_id NULLS FIRST) - 1 AS place, l.group_id IS NULL AS alone
           FROM ix LEFT JOIN accounts a USING (account_id) LEFT JOIN ({LATEST}) l USING (account_id)
           WHERE l.label IS NOT NULL OR a.status = 'suspended' ORDER BY ix.i""",
    )
    account = np.asarray(rows["i"], dtype=np.int64)
    labelled, down = (np.asarray(rows[name], dtype=np.bool_) for name in ("labelled", "down"))
    abusive = labelled & (np.nan_to_num(np.asarray(rows["abusive"], dtype=np.float64)) > 0)
    known = score.copy()
    known[account[labelled]] = abusive[labelled]
    worth = suspension_bits(known, account[down])
    bits = np.where(labelled, np.where(abusive, LABEL_BITS, -LABEL_BITS), worth)
    group = np.where(np.asarray(rows["alone"], dtype=np.bool_), -1, np.asarray(rows["place"], dtype=np.int64))
    return Verdicts(account, bits, labelled, group)


def suspension_bits(score: FloatArray, suspended: IntArray) -> float:
    """What a suspension says, 0 to `VERDICT_BITS`; `score` float64[accounts], `suspended` indexes of accounts."""
    usual = len(suspended) / max(len(score), 1)
    if usual == 0:
        return 0.0
    bad, all_bad = score[suspended].sum(), score.sum()
    abusive = (bad + SUSPENSIONS * usual) / (all_bad + SUSPENSIONS)
    others = (len(suspended) - bad + SUSPENSIONS * usual) / (len(score) - all_bad + SUSPENSIONS)
    return float(np.clip(np.log2(abusive / others), 0.0, VERDICT_BITS))


def with_verdicts(harm: Harm, verdicts: Verdicts) -> Harm:
    """What events say of each account, and what is known of it."""
    bits = harm.bits.copy()
    bits[verdicts.account] += verdicts.bits
    return replace(harm, bits=bits)


def spread(model: Model, bits: FloatArray, verdicts: Verdicts) -> FloatArray:
    """Bits for "abusive" that verdicts give each account, its own included; float64[accounts].

    `bits` are those of the model's pairs; what does not stand passes nothing on. A tie passes belief on in proportion
    to its chance to be one operator's, shared among all of an account's ties, so that a hub says no more than anyone.
    """
    n = model.accounts
    own = np.zeros(n)
    own[verdicts.account] = verdicts.bits
    keep = bits > STAND
    if len(verdicts.account) == 0 or not keep.any():
        return own
    first, second, tie = model.first[keep], model.second[keep], probability(bits[keep])
    weight = sp.csr_matrix(
        (np.r_[tie, tie], (np.r_[first, second], np.r_[second, first])), shape=(n, n), dtype=np.float64
    )
    total = np.asarray(weight.sum(axis=1)).ravel()
    passed = sp.diags_array(1.0 / np.maximum(total, 1.0)) @ weight
    belief = own.copy()
    for _ in range(STEPS):
        belief = own + COUPLING * (passed @ belief)
    return np.asarray(np.clip(belief, -MOST_BITS, MOST_BITS))
