"""The accounts of a run: a dense index, and what the log says of each account as known at one moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

DAY = 86_400e6
"""Times are in microseconds."""

HARM_THRESHOLD = 0.5
"""An upstream `harm_score` of at least this counts as harm."""

NO_HARM_NAMES = ("", "none", "benign", "safe", "no_harm", "ok")
"""What classifiers write into `harm` when they found none."""

HARMLESS = ", ".join(f"'{name}'" for name in NO_HARM_NAMES)
HARMFUL = f"coalesce(harm_score >= {HARM_THRESHOLD}, harm IS NOT NULL AND lower(harm) NOT IN ({HARMLESS}))"
"""SQL: whether a classifier found harm in an event."""

FLAGGED = f"({HARMFUL} OR coalesce(refused, false))"
"""SQL: whether a classifier found harm in an event, or a safeguard refused it."""

CATEGORY = f"CASE WHEN lower(harm) NOT IN ({HARMLESS}) THEN lower(harm) END"
"""SQL: the category of harm that an event was given, null where it was given none."""

ASKS = "kind IN ('chat', 'api', 'tool_call', 'other')"
"""SQL: whether something is asked of a model in an event, which a safeguard could judge."""


FEATURES = 4
"""At most this many `x_` features are compared."""

HOSTS = ("campus", "company")
"""Kinds of known addresses behind which an institution answers for its people."""

ALL_ACCOUNTS = """
    SELECT account_id FROM accounts UNION SELECT account_id FROM events UNION SELECT account_id FROM links
    UNION SELECT src_account_id FROM relations UNION SELECT dst_account_id FROM relations
    UNION SELECT account_id FROM labels"""
"""Every account that any table of the log names (account_id, each once)."""


@dataclass(frozen=True)
class Column:
    """What every account has one of, as its place in the order of all: `rank` in [0, 1] (the middle of equal values;
    NaN where unknown) and `tie`, the share of accounts that have the same value."""

    rank: FloatArray
    tie: FloatArray

    def gap(self, a: IntArray, b: IntArray) -> FloatArray:
        """The share of accounts between a and b, of equal ones that have the value; NaN where a side is unknown."""
        apart = np.abs(self.rank[a] - self.rank[b])
        return np.asarray(np.where(apart == 0, self.tie[a], apart))


def ranked(values: FloatArray) -> Column:
    """Values as their places in the order of those known."""
    known = np.sort(values[~np.isnan(values)])
    left, right = np.searchsorted(known, values, side="left"), np.searchsorted(known, values, side="right")
    total = max(len(known), 1)
    return Column(np.where(np.isnan(values), np.nan, (left + right) / 2 / total), (right - left) / total)


@dataclass(frozen=True)
class Categories:
    """How many harmful events of each category accounts have; int64[rows] each, a row for each account and each
    category that it has. `kind` is a dense code."""

    account: IntArray
    kind: IntArray
    count: IntArray


NO_CATEGORIES = Categories(*(np.zeros(0, dtype=np.int64) for _ in range(3)))


@dataclass(frozen=True)
class AccountTable:
    """Accounts in the order of their ids; row i of `frame` is account i everywhere in a run.

    `frame` has: account_id, created_at (µs since the epoch, NaN where unknown; first event where the accounts table
    says nothing), events, judged (events that a safeguard could have judged), harmful, refused, first_seen, last_seen
    (µs), hosted (share of its events at an address that is known as an institution's: `HOSTS`), harm_kind (dense code
    of the category that most of its harmful events have, -1 for none), wording (how often the like of what it sent
    unflagged is flagged; NaN until `with_wording`), org and country (dense codes, -1 for none), `x_` features.
    `harm_known` says whether any harm evidence exists in the data at all, `categories` of what categories it is.
    """

    frame: pd.DataFrame
    harm_known: bool
    categories: Categories = NO_CATEGORIES

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def ids(self) -> npt.NDArray[np.object_]:
        return self.frame["account_id"].to_numpy(dtype=object)

    @property
    def created(self) -> FloatArray:
        return self.frame["created_at"].to_numpy(dtype=np.float64)

    @property
    def wording(self) -> FloatArray:
        """How often what is written like what each account sent unflagged is flagged; NaN where unknown."""
        return self.frame["wording"].to_numpy(dtype=np.float64)

    def with_wording(self, wording: FloatArray) -> AccountTable:
        """With how often what is written like what each account sent unflagged is flagged (`graphs.wording`)."""
        return replace(self, frame=self.frame.assign(wording=wording))

    @property
    def features(self) -> list[str]:
        return sorted(name for name in self.frame.columns if name.startswith("x_"))

    @cached_property
    def feature_ranks(self) -> dict[str, Column]:
        """The first `FEATURES` features, those left out that are the same for all."""
        values = ((name, self.frame[name].to_numpy(dtype=np.float64)) for name in self.features[:FEATURES])
        return {
            name: ranked(one)
            for name, one in values
            if np.nanmax(one, initial=-np.inf) > np.nanmin(one, initial=np.inf)
        }


def collect_accounts(con: duckdb.DuckDBPyConnection) -> AccountTable:
    """Indexes the accounts of the attached log views and sums up their events.

    Leaves two temporary tables for the stages that follow: `ix` (account_id, i) and `ev` (the events with `i` in the
    place of the account id).
    """
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE ix AS
        SELECT account_id, (row_number() OVER (ORDER BY account_id) - 1)::INTEGER AS i FROM ({ALL_ACCOUNTS})
        """
    )
    hosts = ", ".join(f"'{name}'" for name in HOSTS)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE ev AS
        SELECT i, kind, epoch_us(ts) AS ts, session, ip, device, payment, user_agent, prompt, tool, tool_shape,
               tool_values, refused, {CATEGORY} AS harm, {FLAGGED} AS harmful,
               harm IS NOT NULL OR harm_score IS NOT NULL OR refused IS NOT NULL AS judged_by
        FROM events JOIN ix USING (account_id)
        """
    )
    features = [row[0] for row in con.execute("DESCRIBE accounts").fetchall() if row[0].startswith("x_")]
    extra = "".join(f', a."{name}"' for name in features)
    frame = con.execute(
        f"""
        SELECT ix.account_id, coalesce(epoch_us(a.created_at), s.first_seen)::DOUBLE AS created_at,
               coalesce(s.events, 0) AS events, coalesce(s.judged, 0) AS judged, coalesce(s.harmful, 0) AS harmful,
               coalesce(s.refused, 0) AS refused, s.first_seen::DOUBLE AS first_seen,
               s.last_seen::DOUBLE AS last_seen, coalesce(s.hosted, 0.0) AS hosted,
               coalesce(dense_rank() OVER (ORDER BY a.org_id NULLS LAST), 0) AS org,
               a.org_id IS NULL AS no_org, a.country IS NULL AS no_country,
               coalesce(dense_rank() OVER (ORDER BY a.country NULLS LAST), 0) - 1 AS country {extra}
        FROM ix LEFT JOIN accounts a USING (account_id)
        LEFT JOIN (
            SELECT i, count(*) AS events,
                   count(*) FILTER ({ASKS}) AS judged,
                   count(*) FILTER (harmful) AS harmful, count(*) FILTER (refused) AS refused,
                   min(ts) AS first_seen, max(ts) AS last_seen,
                   count(host)::DOUBLE / greatest(count(ip), 1) AS hosted
            FROM ev LEFT JOIN (
                SELECT DISTINCT entity AS host FROM entities WHERE entity_type = 'ip' AND kind IN ({hosts})
            ) ON ip = host GROUP BY i) s USING (i)
        ORDER BY ix.i
        """
    ).df()
    frame["org"] = np.where(frame.pop("no_org"), -1, frame["org"])
    frame["country"] = np.where(frame.pop("no_country"), -1, frame["country"])
    categories = _categories(con)
    frame["harm_kind"] = _most_frequent(categories, len(frame))
    frame["wording"] = np.nan
    frame["judged"] = frame[["judged", "harmful"]].max(axis=1)
    known = con.execute("SELECT coalesce(bool_or(judged_by), false) FROM ev").fetchall()
    return AccountTable(frame, bool(known[0][0]), categories)


def _categories(con: duckdb.DuckDBPyConnection) -> Categories:
    rows = con.execute(
        """SELECT i, dense_rank() OVER (ORDER BY harm) - 1 AS kind, count(*) AS n
           FROM ev WHERE harmful AND harm IS NOT NULL GROUP BY i, harm ORDER BY 1, 2"""
    ).fetchnumpy()
    return Categories(*(np.asarray(rows[name], dtype=np.int64) for name in ("i", "kind", "n")))


def _most_frequent(categories: Categories, n: int) -> IntArray:
    most = np.full(n, -1, dtype=np.int64)
    order = np.lexsort((categories.kind, categories.count, categories.account))
    most[categories.account[order]] = categories.kind[order]  # of repeated places the last written stands
    return most
