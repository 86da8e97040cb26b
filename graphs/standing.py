"""What speaks for people: accounts of long standing, a card of one's own, prompts that nobody else sends, a company's
mailbox. It says nothing of whether accounts belong together, as those of a family or a team do, and something of
whether they were made for harm.

How often members of abusive and of honest clusters have such a thing is learnt from the clusters themselves, by what
their harm says. Members of one cluster are alike in it, so a cluster is one witness: its bits are the mean over its
members. It can only speak against abuse, and not without bound: some operators work with accounts that were people's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd

from ringwatch.graphs.accounts import DAY, AccountTable, BoolArray, FloatArray, IntArray
from ringwatch.graphs.layers import Incidence, query_columns

OLD = 180 * DAY
OWN_CARD = 30 * DAY
LEAST_PROMPTS = 10
OF_OTHERS = 0.1
"""At most so many of an account's prompts are of families that others send as well: its prompts are its own."""

DOMAIN_USERS, DOMAIN_SHARE = 5, 0.02
"""A company's domain has at least so many accounts, and at most such a share of all: beyond, it is a provider's."""

WEIGHT = 4.0
"""How many clusters the rate of all members weighs in what is learnt of either sort."""

BOUGHT = 0.25
"""Share of operators who work with accounts that people made: stolen, bought or rented."""

LEAST_BITS = 0.05


@dataclass(frozen=True)
class Standing:
    """Who has one of the things that speak for people: bool[accounts]. `text` finishes "N of M members …"."""

    layer: str
    text: str
    has: BoolArray


STANDING = {
    "old_accounts": "have had their accounts for half a year or longer",
    "own_payment": "have paid for a month or longer with an instrument that nobody else uses",
    "diverse_prompts": "send prompts of their own, hardly any that others send as well",
    "company_domain": "have a mailbox at a domain half of whose many accounts are old",
}


def collect_standing(
    con: duckdb.DuckDBPyConnection, accounts: AccountTable, shared: Sequence[Incidence]
) -> list[Standing]:
    """Who has what, where anybody has. Needs the tables `ix` and `ev`."""
    by_name = {incidence.spec.name: incidence for incidence in shared}
    n, created = len(accounts), accounts.created
    last = accounts.frame["last_seen"].to_numpy(dtype=np.float64)
    newest = max(np.nanmax(created, initial=-np.inf), np.nanmax(last, initial=-np.inf))
    old = newest - created >= OLD
    found = (
        old,
        _own_card(by_name.get("payment"), n),
        _own_prompts(con, by_name.get("prompt_family"), n),
        _company(con, old),
    )
    return [
        Standing(layer, text, has) for (layer, text), has in zip(STANDING.items(), found, strict=True) if has.any()
    ]


def _own_card(cards: Incidence | None, n: int) -> BoolArray:
    own = np.zeros(n, dtype=np.bool_)
    if cards is not None:
        own[cards.account[(cards.degree[cards.entity] == 1) & (cards.last - cards.first >= OWN_CARD)]] = True
    return own


def _own_prompts(con: duckdb.DuckDBPyConnection, families: Incidence | None, n: int) -> BoolArray:
    rows = query_columns(con, "SELECT i, count(*) AS n FROM ev WHERE prompt IS NOT NULL GROUP BY 1 ORDER BY 1")
    sent, of_others = np.zeros(n), np.zeros(n)
    sent[np.asarray(rows["i"], dtype=np.int64)] = rows["n"]
    if families is not None:
        of_others += np.bincount(families.account, families.count, minlength=n)
    return np.asarray((sent >= LEAST_PROMPTS) & (of_others <= OF_OTHERS * sent))


def _company(con: duckdb.DuckDBPyConnection, old: BoolArray) -> BoolArray:
    rows = query_columns(
        con,
        """SELECT i, dense_rank() OVER (ORDER BY parent) - 1 AS domain
           FROM ix JOIN accounts USING (account_id) JOIN tokens ON entity_type = 'email' AND entity = email
           WHERE parent IS NOT NULL AND NOT coalesce(disposable, false) ORDER BY i""",
    )
    i, domain = (np.asarray(rows[name], dtype=np.int64) for name in ("i", "domain"))
    users = np.bincount(domain)
    company = (users >= DOMAIN_USERS) & (users <= DOMAIN_SHARE * len(old))
    company &= 2 * np.bincount(domain, old[i], minlength=len(users)) >= users
    has = np.zeros(len(old), dtype=np.bool_)
    has[i[company[domain]]] = True
    return has


def speak_for_people(
    standing: Sequence[Standing], abuse: FloatArray, cluster: IntArray, count: int
) -> tuple[FloatArray, pd.DataFrame]:
    """Bits (at most 0) that standing adds to those for "this cluster is abusive", and the reasons: cluster, against,
    layer, bits, text, accounts.

    Args:
        abuse: the probability, by cluster, from what its members did. cluster: of each account, -1 for none.
    """
    member = np.flatnonzero(cluster >= 0)
    size = np.maximum(np.bincount(cluster[member], minlength=count), 1)
    known, bits = [], [np.zeros(count)]
    for one in standing:
        have = np.bincount(cluster[member], one.has[member], minlength=count)
        share, usual = have / size, float(one.has[member].mean()) if len(member) else 0.0
        m, u = ((weight @ share + WEIGHT * usual) / (weight.sum() + WEIGHT) for weight in (abuse, 1 - abuse))
        if 0 < m < u < 1:
            said = share * np.log2(m / u) + (1 - share) * np.log2((1 - m) / (1 - u))
            bits.append(np.minimum(said, 0.0))
            known.append((one, have.astype(np.int64), m, u))
    told = np.sum(bits, axis=0)
    total = np.log2(BOUGHT + (1 - BOUGHT) * np.exp2(told))
    scale = np.divide(total, told, out=np.zeros(count), where=told < 0)
    reasons = [
        _reasons(one, have, size, m, u, said * scale) for (one, have, m, u), said in zip(known, bits[1:], strict=True)
    ]
    return total, pd.concat(reasons, ignore_index=True) if reasons else pd.DataFrame()


def _reasons(one: Standing, have: IntArray, size: IntArray, m: float, u: float, bits: FloatArray) -> pd.DataFrame:
    at = np.flatnonzero(bits <= -LEAST_BITS)
    text = [
        f"{some} of {all_} members {one.text}, as {u:.0%} do in honest clusters and {m:.0%} in abusive ones"
        f" ({worth:+.1f} bits for abuse)."
        for some, all_, worth in zip(have[at].tolist(), size[at].tolist(), bits[at].tolist(), strict=True)
    ]
    return pd.DataFrame(
        {
            "cluster": at, "against": True, "layer": one.layer, "bits": bits[at].round(3),
            "text": pd.Series(text, dtype=object), "entity_layer": None, "entity": -1, "accounts": have[at],
        }
    )  # fmt: skip
