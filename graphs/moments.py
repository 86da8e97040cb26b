"""Who used one address at one moment: in the same ten minutes, in the same hour, on the same day.

SynchroTrap (Cao, Yang, Yu and Palow, CCS 2014) compares accounts by the times at which they touch one address or
app. Here a moment of an address is an entity itself, so that candidate pairs, bits and sentences come as for any
other, in time linear in the events: the pairs of a crowd are never made. A moment refines the address it is of
and is in its group, so that the two count once. Where the address is one person's it adds nothing; where hundreds
pass by, few pass by at once.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd

from ringwatch.graphs.accounts import AccountTable
from ringwatch.graphs.layers import Incidence, LayerSpec, Refined, query_columns

SCALES = (
    ("minutes", 600_000_000, "within minutes"),
    ("hour", 3_600_000_000, "within an hour"),
    ("day", 86_400_000_000, "within a day"),
)
"""Names, widths in µs and words of the moments."""

MOMENTS = frozenset(f"ip_{scale}" for scale, _, _ in SCALES)
"""Names of the layers."""

NEW = 86_400e6
"""What an account does within so many µs of its sign-up it does then because it signed up then: strangers who sign up
on one day and try things out meet on that day. When it signed up is evidence of its own."""

LEAST_USERS = 6
"""Of fewer users a moment cannot tell much more than the entity does."""

MOST_MET = 16
"""Who meets more others than this at an address meets strangers for the most part: operations are not so large."""

OVERLAP = 0.75
"""Two uses within a width of each other share one or two of the half-shifted moments or, by chance, none: those who
share any are so many of the places at which they meet."""


def moments(con: duckdb.DuckDBPyConnection, addresses: Incidence, accounts: AccountTable) -> list[Incidence]:
    """The moments of the addresses that many use. Needs the table `ev`."""
    crowded = addresses.degree >= LEAST_USERS
    if not crowded.any():
        return []
    degree = addresses.degree[crowded]
    behind = np.maximum(np.maximum(addresses.expected, addresses.floor * len(accounts))[crowded], degree)
    frame = pd.DataFrame({"entity": addresses.code[crowded], "users": degree, "unseen": behind / degree})
    con.register("crowded", frame)
    con.register("settled", pd.DataFrame({"i": np.arange(len(accounts)), "settled": accounts.created + NEW}))
    try:
        con.execute(
            """CREATE OR REPLACE TEMP TABLE crowd AS SELECT i, ip AS entity, ts, users, unseen
               FROM ev JOIN crowded ON ip = entity JOIN settled USING (i) WHERE ts >= settled"""
        )
    finally:
        con.unregister("crowded")
        con.unregister("settled")
    found = []
    for scale, width, words in SCALES:
        text = f"{addresses.spec.text} {words} of each other"
        found.append(
            _moments(con, LayerSpec(f"ip_{scale}", addresses.spec.group, 0.2, text, "ip", event=True), width)
        )
    con.execute("DROP TABLE crowd")
    return [incidence for incidence in found if len(incidence.account)]


def _moments(con: duckdb.DuckDBPyConnection, spec: LayerSpec, width: int) -> Incidence:
    """Moments of one width, overlapping by half, that are rarer than their entity.

    How many strangers an account meets at an entity follows from how often it is there: u of a moment counts all
    whom its users meet at that entity, at any moment, on average; not just those of this moment. Where more accounts
    are expected behind an entity than were seen, as many times more are met.
    """
    rows = query_columns(
        con,
        f"""WITH used AS (
                SELECT i, entity, shift, (ts + shift) // {width} AS moment, any_value(users) AS users,
                       any_value(unseen) AS unseen, count(*) AS n, min(ts) AS first, max(ts) AS last
                FROM crowd, (VALUES (0), ({width // 2})) AS shifts(shift) GROUP BY 1, 2, 3, 4),
            sized AS (
                SELECT entity, shift, moment, count(*) AS size FROM used GROUP BY 1, 2, 3 HAVING size > 1),
            met AS (
                SELECT * FROM used JOIN sized USING (entity, shift, moment)),
            loads AS (SELECT i, entity, {OVERLAP} * sum(size - 1) AS load FROM met GROUP BY 1, 2),
            rare AS (
                SELECT entity, shift, moment, 1 + any_value(unseen) * avg(load) AS expected
                FROM met JOIN loads USING (i, entity) WHERE size <= {MOST_MET}
                GROUP BY 1, 2, 3 HAVING expected <= least({MOST_MET}, any_value(users) / 2))
            SELECT i, entity, shift, moment, n, first, last, expected, users
            FROM met JOIN rare USING (entity, shift, moment) ORDER BY entity, shift, moment, i""",
    )
    entity, shift, moment = (np.asarray(rows[name], dtype=np.int64) for name in ("entity", "shift", "moment"))
    new = np.ones(len(entity), dtype=np.bool_)
    new[1:] = (np.diff(entity) != 0) | (np.diff(shift) != 0) | (np.diff(moment) != 0)
    code = entity[new]
    _, unit, refined = np.unique(code, return_index=True, return_inverse=True)
    return Incidence(
        spec,
        np.asarray(rows["i"], dtype=np.int64),
        np.cumsum(new) - 1,
        np.asarray(rows["n"], dtype=np.int64),
        np.asarray(rows["first"], dtype=np.float64),
        np.asarray(rows["last"], dtype=np.float64),
        code,
        np.zeros(len(code)),
        np.asarray(rows["expected"], dtype=np.float64)[new],
        Refined(unit[refined], np.asarray(rows["users"], dtype=np.int64)[new]),
    )
