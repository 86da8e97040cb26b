"""Verdicts as evidence: what is known of some accounts raises or lowers the abuse of those tied to them.

Known labels are spread along the evidence by linearised belief propagation (Gatterbauer, Günnemann, Koutra and
Faloutsos, "Linearized and single-pass belief propagation", VLDB 2015) over the candidate pairs, each as strong as its
chance to be one operator's. The result is bits for "abusive" of every account, to be added to those of its own harm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb
import numpy as np
import scipy.sparse as sp

from ringwatch.graphs.abuse import Harm
from ringwatch.graphs.accounts import FloatArray, IntArray
from ringwatch.graphs.evidence import Model
from ringwatch.graphs.layers import query_columns
from ringwatch.graphs.learning import probability

LABEL_BITS = 6.0
"""What a reviewer's label says of the account itself."""

VERDICT_BITS = 4.0
"""What a suspension says: taken for some reason, by whoever could."""

STEPS = 6
COUPLING = 0.5
"""How much of a neighbour's belief passes along a certain tie, before normalisation."""

MOST_BITS = 8.0


@dataclass(frozen=True)
class Verdicts:
    """What is known of accounts: `account` (indexes, rising), `bits` for "abusive" (negative: for benign)."""

    account: IntArray
    bits: FloatArray


NO_VERDICTS = Verdicts(np.zeros(0, dtype=np.int64), np.zeros(0))


def collect_verdicts(con: duckdb.DuckDBPyConnection) -> Verdicts:
    """The latest label of each account, else a suspension. Needs `ix`; the views show what was known at `as_of`."""
    rows = query_columns(
        con,
        f"""SELECT ix.i, CASE WHEN l.label = 'abusive' THEN {LABEL_BITS} WHEN l.label = 'benign' THEN -{LABEL_BITS}
                         ELSE {VERDICT_BITS} END AS bits
            FROM ix LEFT JOIN accounts a USING (account_id) LEFT JOIN (
                SELECT account_id, arg_max(label, (labelled_at, content_key)) AS label FROM labels GROUP BY account_id
            ) l USING (account_id)
            WHERE l.label IS NOT NULL OR a.status = 'suspended' ORDER BY ix.i""",
    )
    return Verdicts(np.asarray(rows["i"], dtype=np.int64), np.asarray(rows["bits"], dtype=np.float64))


def with_verdicts(harm: Harm, verdicts: Verdicts) -> Harm:
    """What events say of each account, and what is known of it."""
    bits = harm.bits.copy()
    bits[verdicts.account] += verdicts.bits
    return replace(harm, bits=bits)


def spread(model: Model, bits: FloatArray, verdicts: Verdicts) -> FloatArray:
    """Bits for "abusive" that verdicts give each account, its own included; float64[accounts].

    `bits` are those of the model's pairs. A pair passes belief on in proportion to its chance to be one operator's,
    shared among all of an account's ties, so that a hub says no more than anyone.
    """
    n = model.accounts
    own = np.zeros(n)
    own[verdicts.account] = verdicts.bits
    if len(verdicts.account) == 0 or len(model) == 0:
        return own
    tie = probability(bits)
    keep = tie > 1e-3
    first, second, tie = model.first[keep], model.second[keep], tie[keep]
    weight = sp.csr_matrix(
        (np.r_[tie, tie], (np.r_[first, second], np.r_[second, first])), shape=(n, n), dtype=np.float64
    )
    total = np.asarray(weight.sum(axis=1)).ravel()
    passed = sp.diags_array(1.0 / np.maximum(total, 1.0)) @ weight
    belief = own.copy()
    for _ in range(STEPS):
        belief = own + COUPLING * (passed @ belief)
    return np.asarray(np.clip(belief, -MOST_BITS, MOST_BITS))
