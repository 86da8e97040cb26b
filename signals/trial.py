"""What signals would have been worth: made of the log as it was, read by what came after, held to labels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ringwatch.cells import interval, number
from ringwatch.errors import UsageError
from ringwatch.evaluation.intervals import Estimate, share_estimate
from ringwatch.evaluation.labels import read_labels
from ringwatch.graphs.accounts import BoolArray, IntArray
from ringwatch.metrics import Stopwatch
from ringwatch.pipeline import rehearse
from ringwatch.signals.build import WINDOW, last_moment, shown_after, signals_of
from ringwatch.signals.keys import ACCOUNT
from ringwatch.signals.matcher import Matcher
from ringwatch.workspace import Workspace

CHANCES = (0.5, 0.8, 0.95, 0.99)
BANDS = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0)
NEWCOMERS, OF_GROUPS_BEGUN, KNOWN = "newcomers", "of groups begun", "known before"
BEGUN = 3
"""A group of which so many accounts were there before has begun: what is wholly new nobody can know by its things."""

HELD_COLUMNS = ("", "chance", "abusive", "met", "95 %", "after", "benign", "met", "95 %")
"""What the `cells` of `Held` are."""


@dataclass(frozen=True)
class Held:
    """Of labelled accounts that did something after the signals were made, newcomers or those known before: how many
    are abusive, the share of them that was met with a chance of at least `chance`, and of their events the share that
    came with that or after it; the same of how many benign accounts were met."""

    who: str
    chance: float
    abusive: int
    met: Estimate
    events: int
    after: Estimate
    benign: int
    met_benign: Estimate

    def cells(self) -> tuple[str, ...]:
        return (
            self.who, f"{self.chance:g}", f"{self.abusive:,}", *interval(self.met), number(self.after.value),
            f"{self.benign:,}", *interval(self.met_benign, 4),
        )  # fmt: skip

    def document(self) -> dict[str, Any]:
        return {
            "who": self.who, "chance": self.chance, "abusive": self.abusive, "met": self.met.document(),
            "events": self.events, "after": self.after.document(), "benign": self.benign,
            "met_benign": self.met_benign.document(),
        }  # fmt: skip


@dataclass(frozen=True)
class Backtest:
    """`signals` were made as of `as_of` and read until `until`. `claimed`: of labelled newcomers by band of the
    greatest chance that they were met with (low, high, accounts, claimed: its mean, right: the share abusive).
    `strongest`: type of the strongest reason of newcomers met with even odds or more (accounts, abusive)."""

    as_of: datetime
    until: datetime
    signals: int
    held: tuple[Held, ...]
    claimed: pd.DataFrame
    strongest: pd.DataFrame

    def document(self) -> dict[str, Any]:
        return {
            "as_of": self.as_of.isoformat(),
            "until": self.until.isoformat(),
            "signals": self.signals,
            "held": [one.document() for one in self.held],
            "claimed": self.claimed.to_dict("records"),
            "strongest": self.strongest.to_dict("records"),
        }


def backtest(
    workspace: Workspace,
    labels: Path,
    *,
    as_of: datetime | None = None,
    window: timedelta = WINDOW,
    seed: int = 0,
    watch: Stopwatch | None = None,
) -> Backtest:
    """Makes signals as of a moment (`window` before the last event), without labels, and reads the events of the
    `window` after it: each account by all that it has shown since. Commits nothing.

    Raises:
        UsageError: there is no such file, or there are no events before that moment or after it.
        DataError: the labels break the contract.
    """
    watch = watch or Stopwatch()
    truth = read_labels(labels).set_index("account_id")
    with rehearse(workspace, seed=seed, watch=watch) as whole:
        last = last_moment(whole.con)
        if last is None:
            raise UsageError("There are no events.", hint="Ingest some.")
        begin = last - window if as_of is None else as_of
        if begin >= last:
            raise UsageError(f"There are no events after {begin:%Y-%m-%d %H:%M}.", hint="Give an earlier --as-of.")
        until = min(last, begin + window)
        with rehearse(workspace, as_of=begin, seed=seed, watch=watch) as then:
            if last_moment(then.con) is None:
                raise UsageError(f"There are no events until {begin:%Y-%m-%d %H:%M}.", hint="Give a later --as-of.")
            signals = signals_of(then, then.detect().scores, "backtest", window=window)
            before = _there(then.con)
        matcher = Matcher(signals)
        with watch.stage("events"):
            events = whole.con.execute(
                "SELECT account_id, ts FROM events WHERE ts > $begin AND ts <= $until ORDER BY ts",
                {"begin": begin, "until": until},
            ).df()
            shown = shown_after(whole.con, begin, matcher)
            shown = shown[shown["ts"] <= until]
    with watch.stage("verdicts"):
        verdicts = _verdicts(shown, matcher)
    events = events[events["account_id"].isin(truth.index)]
    accounts = events.groupby("account_id").agg(events=("ts", "size"))
    accounts["abusive"] = truth["label"].reindex(accounts.index) == "abusive"
    accounts["new"] = ~accounts.index.isin(before)
    unit = truth["group_id"].reindex(accounts.index).fillna("account " + accounts.index.to_series())
    accounts["unit"] = pd.factorize(unit)[0]
    held = []
    begun = truth.loc[truth.index.isin(before) & (truth["label"] == "abusive"), "group_id"].value_counts()
    fresh = accounts["abusive"] & ~(truth["group_id"].reindex(accounts.index).map(begun) >= BEGUN)
    for who, rows in (
        (NEWCOMERS, accounts["new"]), (OF_GROUPS_BEGUN, accounts["new"] & ~fresh), (KNOWN, ~accounts["new"]),
    ):  # fmt: skip
        held += [_held(who, one, accounts[rows], events, verdicts, seed) for one in CHANCES]
    most = verdicts.sort_values("chance", kind="stable").drop_duplicates("account_id", keep="last")
    most = most.set_index("account_id").reindex(accounts.index[accounts["new"]])
    newcomers = accounts[accounts["new"]].assign(
        chance=most["chance"].fillna(matcher.verdict((), begin).chance), type=most["type"]
    )
    return Backtest(begin, until, len(signals.table), tuple(held), _claimed(newcomers), _strongest(newcomers))


def _there(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Accounts that were there: a row without a time says nothing of when."""
    rows = con.execute(
        "SELECT account_id FROM events UNION SELECT account_id FROM accounts WHERE created_at IS NOT NULL"
    ).fetchall()
    return {account for (account,) in rows}


def _verdicts(shown: pd.DataFrame, matcher: Matcher) -> pd.DataFrame:
    """account_id, ts, chance, type (of the strongest reason) whenever an account has shown something more."""
    found = []
    for account, rows in shown.groupby("account_id", sort=True):
        seen: set[tuple[str, str]] = set()
        for ts, now in rows.groupby("ts", sort=True):
            seen |= set(zip(now["type"], now["key"], strict=True))
            verdict = matcher.verdict(seen, pd.Timestamp(str(ts)))
            if verdict.reasons:
                found.append((account, ts, verdict.chance, verdict.reasons[0].type))
    verdicts = pd.DataFrame(found, columns=["account_id", "ts", "chance", "type"]).astype({"chance": np.float64})
    return verdicts.assign(ts=pd.to_datetime(verdicts["ts"], utc=True))


def _held(
    who: str, chance: float, accounts: pd.DataFrame, events: pd.DataFrame, verdicts: pd.DataFrame, seed: int
) -> Held:
    first = verdicts[verdicts["chance"] >= chance].groupby("account_id")["ts"].min()
    met = accounts.index.isin(first.index)
    abusive = accounts["abusive"].to_numpy(dtype=np.bool_)
    own = events[events["account_id"].isin(accounts.index[abusive])]
    late = own[own["ts"] >= pd.to_datetime(own["account_id"].map(first.to_dict()), utc=True)]
    after = np.asarray(late.groupby("account_id").size().reindex(accounts.index).fillna(0), dtype=np.int64)
    ones = np.ones(len(accounts), dtype=np.int64)
    unit = accounts["unit"].to_numpy(dtype=np.int64)

    def share(part: IntArray, whole: IntArray, rows: BoolArray) -> Estimate:
        sums = pd.DataFrame({"part": part[rows], "whole": whole[rows]}).groupby(unit[rows]).sum().to_numpy(np.int64)
        return share_estimate(sums[:, 0], sums[:, 1], seed=seed)

    counts = np.asarray(accounts["events"], dtype=np.int64)
    return Held(
        who, chance, int(abusive.sum()), share(met.astype(np.int64), ones, abusive), int(counts[abusive].sum()),
        share(after, counts, abusive), int((~abusive).sum()), share(met.astype(np.int64), ones, ~abusive),
    )  # fmt: skip


def _claimed(newcomers: pd.DataFrame) -> pd.DataFrame:
    band = pd.cut(newcomers["chance"], BANDS, include_lowest=True, labels=False)
    found = newcomers.groupby(band).agg(
        accounts=("chance", "size"), claimed=("chance", "mean"), right=("abusive", "mean")
    )
    found.insert(0, "low", [BANDS[int(at)] for at in found.index])
    found.insert(1, "high", [BANDS[int(at) + 1] for at in found.index])
    return found.round(6).reset_index(drop=True)


def _strongest(newcomers: pd.DataFrame) -> pd.DataFrame:
    met = newcomers[(newcomers["chance"] >= CHANCES[0]) & (newcomers["type"] != ACCOUNT)]
    found = met.groupby("type").agg(accounts=("abusive", "size"), abusive=("abusive", "sum")).reset_index()
    return found.sort_values(["accounts", "type"], ascending=[False, True], kind="stable").reset_index(drop=True)
