"""With whom an account was made: the burst of sign-ups that it is part of.

A burst is more sign-ups of one kind within a short time than chance explains: than other sign-ups at that time, those
at the same time of the weeks around, and the usual share of that kind among all accounts let expect. An hour in which
a class or a hackathon signs up is a burst as well; what its accounts have in common besides says what it is worth.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
import pandas as pd
from scipy.special import gammainc

from ringwatch.graphs.accounts import AccountTable, FloatArray, IntArray
from ringwatch.graphs.layers import Incidence, LayerSpec, query_columns
from ringwatch.graphs.pairs import ALL_PAIRS

BURST_WIDTHS = (600_000_000, 3_600_000_000, 86_400_000_000)
WEEK = 604_800_000_000
WEEKS = 4
"""Sign-ups at the same time of so many weeks before and after say how many to expect."""

NEAR = 6
"""So have the windows next to it: a day on which everybody signs up is no burst in each of its hours."""

AT_ONCE = 3_600_000_000
"""Where an account is within so many µs of its sign-up is where it signed up."""

LEAST = 3
"""Two sign-ups are no burst."""

FALSE = 0.01
"""How many bursts among all accounts may be chance."""

PLAIN = "signup_burst"
"""Of accounts that have nothing but the time in common; where they are a crowd, it is an event: a launch, a class."""

KINDS = {
    PLAIN: "a burst of sign-ups",
    "signup_burst_mail": "a burst of sign-ups with one form of mailbox",
    "signup_burst_place": "a burst of sign-ups at one address",
}


def signup_bursts(con: duckdb.DuckDBPyConnection, accounts: AccountTable) -> list[Incidence]:
    """Bursts of sign-ups: of all, of one form of mailbox, at one address.

    Needs the tables `ix` and `ev`.
    """
    con.register("made", pd.DataFrame({"i": np.arange(len(accounts)), "created": accounts.created}))
    try:
        rows = query_columns(
            con,
            f"""SELECT m.i, dense_rank() OVER (ORDER BY shape) AS mail, dense_rank() OVER (ORDER BY ip) AS place,
                      shape IS NULL AS no_mail, ip IS NULL AS no_place
               FROM made m JOIN ix USING (i) LEFT JOIN accounts a USING (account_id)
               LEFT JOIN (SELECT entity, shape FROM tokens WHERE entity_type = 'email') ON email = entity
               LEFT JOIN (
                   SELECT i, arg_min(ip, (ts, ip)) AS ip
                   FROM ev JOIN made USING (i) WHERE abs(ts - created) <= {AT_ONCE} GROUP BY 1) s ON s.i = m.i
               ORDER BY m.i""",
        )
    finally:
        con.unregister("made")
    kinds = {PLAIN: np.zeros(len(accounts), dtype=np.int64)}
    for name in ("mail", "place"):
        missing = np.asarray(rows[f"no_{name}"], dtype=np.bool_)
        kinds[f"signup_burst_{name}"] = np.where(missing, -1, np.asarray(rows[name], dtype=np.int64))
    created = accounts.created
    found = [
        find_bursts(
            LayerSpec(name, "signup", 0.2, text, event=True),
            created,
            kinds[name],
            most=ALL_PAIRS if name == PLAIN else np.inf,
        )
        for name, text in KINDS.items()
        if ((kinds[name] >= 0) & ~np.isnan(created)).any()
    ]
    return [incidence for incidence in found if len(incidence.account)]


def find_bursts(spec: LayerSpec, created: FloatArray, kind: IntArray, *, most: float = np.inf) -> Incidence:
    """Who is part of which burst. By account: `created` (µs, NaN unknown) and `kind` (-1 unknown), not all unknown.

    A window of each width, overlapping by half, is a burst of a kind when at least `LEAST` of the kind sign up in it
    and so many would not be expected in it once among all accounts (Poisson). `expected` is what was. A burst of more
    than `most` is left out.
    """
    known = np.flatnonzero((kind >= 0) & ~np.isnan(created))
    time, of = created[known].astype(np.int64), kind[known]
    share = np.bincount(of) / max(len(of), 1)
    parts: list[tuple[IntArray, IntArray, IntArray, FloatArray]] = []
    dense = 0
    for width in BURST_WIDTHS:
        for shift in (0, width // 2):
            window = (time + shift) // width
            order = np.lexsort((of, window))
            first = np.flatnonzero(
                np.r_[True, (np.diff(window[order]) != 0) | (np.diff(of[order]) != 0)][: len(order)]
            )
            size = np.diff(np.r_[first, len(order)])
            at = window[order[first]]
            usual = share[of[order[first]]] * np.maximum(_around(np.sort(window), at, width), _others(at, size))
            burst = (size >= LEAST) & (size <= most) & (gammainc(size, np.maximum(usual, 1e-12)) * len(known) < FALSE)
            member = np.repeat(burst, size)
            number = np.repeat(np.cumsum(burst) - 1, size)[member]
            parts.append((known[order[member]], number + dense, at[burst] * width - shift, usual[burst]))
            dense += int(burst.sum())
    account, entity, code, usual = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Incidence(
        spec, account, entity, np.ones(len(account), dtype=np.int64), created[account], created[account], code,
        np.zeros(dense), usual,
    )  # fmt: skip


def _others(window: IntArray, size: IntArray) -> FloatArray:
    """Sign-ups in the same window that are of another kind; `window` rises."""
    _, of = np.unique(window, return_inverse=True)
    return (np.bincount(of, size)[of] - size).astype(np.float64)


def _around(window: IntArray, at: IntArray, width: int) -> FloatArray:
    """Sign-ups that windows like `at` have: the mean of those next to it, at the same time of the weeks around, or
    over all of these weeks, whichever is most. `window`, of all sign-ups, rises."""
    step = WEEK // width
    low, high = window[0], window[-1]

    def mean(shifts: Sequence[int]) -> FloatArray:
        count, there = np.zeros(len(at)), np.zeros(len(at))
        for shift in shifts:
            other = at + shift
            count += np.searchsorted(window, other, side="right") - np.searchsorted(window, other, side="left")
            there += (other >= low) & (other <= high)
        return count / np.maximum(there, 1)

    begin, end = np.maximum(at - WEEKS * step, low), np.minimum(at + WEEKS * step, high)
    total = np.searchsorted(window, end, side="right") - np.searchsorted(window, begin, side="left")
    weeks = mean([week * step for week in range(-WEEKS, WEEKS + 1) if week])
    near = mean([shift for shift in range(-NEAR, NEAR + 1) if shift])
    return np.asarray(np.maximum(np.maximum(weeks, near), total / (end - begin + 1)))
