"""Referrals, invitations and funding beyond the direct edge: who has one root some steps up."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from ringwatch.graphs.layers import Incidence, LayerSpec, Relation, incidence_from

FEW_SOURCES = 3
"""An account that more than so many others sent to has no one origin: an exchange, or somebody popular."""

DEPTHS = (2, 3)


def common_roots(relation: Relation, accounts: int) -> Incidence:
    """Accounts whose chains of sources meet two or three steps up, as an incidence whose entities are the roots.

    Chains go by accounts of `FEW_SOURCES` at most, so that an account has a bounded number of roots, however much
    its sources have sent.
    """
    sources = np.bincount(relation.dst, minlength=accounts)
    few = sources[relation.dst] <= FEW_SOURCES
    ones = np.ones(int(few.sum()), dtype=np.int32)
    up = sp.csr_matrix((ones, (relation.dst[few], relation.src[few])), shape=(accounts, accounts))
    reached, roots = up, []
    for depth in range(2, max(DEPTHS) + 1):
        reached = sp.csr_matrix(reached @ up)
        if depth in DEPTHS:
            account, root = reached.nonzero()
            roots.append(np.column_stack([account, root])[account != root])
    rows = np.unique(np.concatenate(roots), axis=0).astype(np.int64)
    name, nothing = relation.spec.name, np.full(len(rows), np.nan)
    spec = LayerSpec(f"{name}_root", relation.spec.group, 0.1, f"one root of {name}s, two or three steps up")
    columns = {"i": rows[:, 0], "entity": rows[:, 1], "n": np.ones(len(rows)), "first": nothing, "last": nothing}
    return incidence_from(spec, columns)
