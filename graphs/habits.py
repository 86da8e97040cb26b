"""How accounts live: when they are at work, and where they say they are from.

Each habit makes a contrast (`graphs.evidence`): what a band of it is worth is learnt from the pairs that shared
layers make likely, against what random pairs show. So habits say little for one operator and more against: people
have hours and a country of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammainc

from ringwatch.graphs.accounts import AccountTable, BoolArray, FloatArray, IntArray
from ringwatch.graphs.layers import query_columns
from ringwatch.graphs.moments import MOMENTS
from ringwatch.graphs.ordered import starts

Bands = npt.NDArray[np.int8]

HOUR = 3_600_000_000
DAY = 24 * HOUR
WIDTHS = tuple(HOUR * hours for hours in (4, 6, 12, 24, 48, 96, 192, 384, 768, 1536))
WINDOWS = 768
"""At most so many windows of time are told apart; each costs an account a bit."""

BEYOND = 3 * DAY
"""An account could have been active for so long before and after it was seen."""

SURPRISE = np.array([3.0, 6.0, 9.0])
SMOOTHING = (0.3, 0.6, 0.9, 1.0, 0.9, 0.6, 0.3)
LEAST_HOURS = 4
"""Of fewer active hours an account's day cannot be told."""

RHYTHM = np.array([0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99])
RHYTHM_PAIRS = 100_000
COMMON = 0.1
"""A country that a greater share of accounts declares is one that many are in."""

HOME = "home"
HOME_OCTAVES = 8
"""Countries are told apart by the share of all accounts that declare them, by octaves."""

HOME_WORDS = ["different countries", "one country that most are in"] + [
    f"one country of one in {2**octave} accounts or fewer" for octave in range(1, HOME_OCTAVES)
]
COUNTRY_WORDS = ["in different countries", "in one country that many are in", "in one country that few are in"]


@dataclass(frozen=True)
class Habit:
    """What two accounts are compared in. `band` gives the bands of pairs of accounts, -1 where a side is unknown, and
    `words` says what each means. Where one of the layers, or groups of them, in `silent` speaks, which implies it,
    it says nothing. What can only speak `against` one operator is worth nothing otherwise. What an operator can have
    otherwise at will, `at_will`, speaks against one no louder than what operators hide."""

    name: str
    group: str
    text: str
    words: list[str]
    band: Callable[[IntArray, IntArray], Bands]
    silent: frozenset[str] = frozenset()
    against: bool = False
    at_will: bool = False


def collect_habits(con: duckdb.DuckDBPyConnection, accounts: AccountTable, *, seed: int = 0) -> list[Habit]:
    """The habits that the log tells of. Needs the tables `ix` and `ev`."""
    n = len(accounts)
    if n < 2:
        return []
    # What an account does on the day of its sign-up it does because it signed up then.
    con.register(
        "made", pd.DataFrame({"i": np.arange(n), "settled": np.nan_to_num(accounts.created, nan=-1e18) + DAY})
    )
    try:
        con.execute(
            "CREATE OR REPLACE TEMP TABLE active AS"
            f" SELECT DISTINCT i, ts // {HOUR} AS hour FROM ev JOIN made USING (i) WHERE ts >= settled"
        )
    finally:
        con.unregister("made")
    sittings = find_sittings(con, n)
    if sittings is None:
        return []
    return [
        Habit(
            "same_times", "hours", "They are at work at the same times",
            ["as chance has it"] + [f"as chance has it once in {2 ** int(bits)} pairs" for bits in SURPRISE],
            sittings.band, MOMENTS,
        ),
        rhythm(con, n, seed),
        *countries(accounts.frame["country"].to_numpy(dtype=np.int64), sittings),
    ]  # fmt: skip


@dataclass(frozen=True)
class Sittings:
    """When accounts are at work. By account: `windows`, the windows of time in which it was active, as bits,
    uint64[n, words]; `daily`, on what share of its days it was active at a time of day, float32[n, times]; `begin`,
    `end`, its days.

    Two accounts that keep their hours but not each other's company meet in a number of windows that is Poisson about
    the product of the shares, summed over the times of day and the days that both have.
    """

    windows: npt.NDArray[np.uint64]
    daily: npt.NDArray[np.float32]
    begin: FloatArray
    end: FloatArray

    @cached_property
    def seen(self) -> BoolArray:
        """Which accounts were active at all."""
        return np.asarray(np.any(self.windows, axis=1))

    def met(self, a: IntArray, b: IntArray) -> IntArray:
        """In how many windows both were active."""
        both = self.windows[a]
        both &= self.windows[b]
        return np.asarray(np.bitwise_count(both).sum(axis=1, dtype=np.int64))

    def expected(self, a: IntArray, b: IntArray) -> FloatArray:
        """In how many they would be by chance."""
        days = np.minimum(self.end[a], self.end[b]) - np.maximum(self.begin[a], self.begin[b])
        return np.asarray(np.einsum("ij,ij->i", self.daily[a], self.daily[b]) * np.maximum(days, 0.0))

    def band(self, a: IntArray, b: IntArray) -> Bands:
        """How surprising their meetings are, in bits, by steps of `SURPRISE`."""
        count = self.met(a, b)
        band = np.zeros(len(a), dtype=np.int8)
        # One meeting is never surprising enough to be looked at: twice is the least.
        some = np.flatnonzero(count > 1)
        tail = gammainc(count[some], np.maximum(self.expected(a[some], b[some]), 1e-6))
        band[some] = np.searchsorted(SURPRISE, -np.log2(np.maximum(tail, 1e-12)), side="right")
        band[~(self.seen[a] & self.seen[b])] = -1
        return band


def find_sittings(con: duckdb.DuckDBPyConnection, n: int) -> Sittings | None:
    """The sittings of n accounts, from the table `active` (i, hour); None where nobody was."""
    low, high = con.execute("SELECT min(hour), max(hour) + 1 FROM active").fetchall()[0]
    if low is None:
        return None
    width = next((w // HOUR for w in WIDTHS if (high - low) * HOUR <= w * (WINDOWS - 1)), WIDTHS[-1] // HOUR)
    rows = query_columns(con, f"SELECT DISTINCT i, hour // {width} AS moment FROM active ORDER BY 1, 2")
    i, moment = (np.asarray(rows[name], dtype=np.int64) for name in ("i", "moment"))
    words = (high // width - low // width) // 64 + 1
    place = moment - low // width
    key = i * words + place // 64
    first = starts(key)
    windows = np.zeros(n * words, dtype=np.uint64)
    windows[key[first]] = np.bitwise_or.reduceat(np.uint64(1) << (place % 64).astype(np.uint64), first)
    times = max(24 // width, 1)
    begin, end = np.zeros(n), np.zeros(n)
    opens = starts(i)
    ends = np.append(opens[1:], len(i)) - 1
    begin[i[opens]] = (moment[opens] * width * HOUR - BEYOND) / DAY
    end[i[ends]] = ((moment[ends] + 1) * width * HOUR + BEYOND) / DAY
    begin, end = np.maximum(begin, low * HOUR / DAY), np.minimum(end, high * HOUR / DAY)
    daily = np.bincount(i * times + moment % times, minlength=n * times).reshape(n, times)
    # Windows longer than a day come less than once a day.
    chances = np.maximum(end - begin, 1) * min(24 / width, 1)
    return Sittings(windows.reshape(n, words), (daily / chances[:, None]).astype(np.float32), begin, end)


def rhythm(con: duckdb.DuckDBPyConnection, n: int, seed: int) -> Habit:
    """How alike the hours of two accounts' days are: the cosine of their active hours by hour of the day (UTC),
    smoothed, in the quantiles `RHYTHM` of random pairs. Hours that are alike are those of a time zone; other hours
    speak against one operator. Needs the table `active`."""
    rows = query_columns(con, "SELECT i, hour % 24 AS hour, count(*) AS n FROM active GROUP BY 1, 2 ORDER BY 1, 2")
    hours = np.zeros((n, 24), dtype=np.float32)
    hours[np.asarray(rows["i"], dtype=np.int64), np.asarray(rows["hour"], dtype=np.int64)] = rows["n"]
    known = hours.sum(axis=1) >= LEAST_HOURS
    reach = len(SMOOTHING) // 2
    smooth = np.zeros_like(hours)
    for step, weight in enumerate(SMOOTHING):
        smooth += np.float32(weight) * np.roll(hours, step - reach, axis=1)
    smooth /= np.maximum(np.sqrt(np.einsum("ij,ij->i", smooth, smooth)), np.float32(1e-9))[:, None]

    def alike(a: IntArray, b: IntArray) -> FloatArray:
        return np.asarray(np.einsum("ij,ij->i", smooth[a], smooth[b]))

    edges = np.zeros(len(RHYTHM))
    if np.count_nonzero(known) > 1:
        a, b = np.random.default_rng(seed).choice(np.flatnonzero(known), (2, RHYTHM_PAIRS))
        edges = np.quantile(alike(a[a != b], b[a != b]), RHYTHM)

    def band(a: IntArray, b: IntArray) -> Bands:
        return np.where(known[a] & known[b], np.searchsorted(edges, alike(a, b)), -1).astype(np.int8)

    words = [f"less alike than those of {100 - round(100 * q)} % of all pairs" for q in RHYTHM[:3]]
    words += ["no more alike than others'", "a little more alike than others'"]
    words += [f"more alike than those of {round(100 * q)} % of all pairs" for q in RHYTHM[4:]]
    return Habit("rhythm", "hours", "Their hours of the day are", words, band, against=True)


def countries(code: IntArray, sittings: Sittings) -> list[Habit]:
    """Declared countries (by account a dense code, -1 for none) of those who were at work at one moment; none where
    nobody declares any. Whoever is in two countries at once is two people, or one behind proxies."""
    if not (code >= 0).any():
        return []
    share = np.bincount(code[code >= 0]) / (code >= 0).sum()

    def band(a: IntArray, b: IntArray) -> Bands:
        # That two were at work at once is what another habit says; here it is the condition.
        at = np.flatnonzero((code[a] >= 0) & (code[b] >= 0))
        at = at[sittings.met(a[at], b[at]) > 0]
        found = np.full(len(a), -1, dtype=np.int8)
        found[at] = np.where(code[a[at]] == code[b[at]], np.where(share[code[a[at]]] < COMMON, 2, 1), 0)
        return found

    text = "At work at one moment they are mostly"
    return [Habit("country", "country", text, COUNTRY_WORDS, band, frozenset({"network"}), against=True)]


def home(country: IntArray) -> list[Habit]:
    """Whether two accounts declare one country (by account a dense code, -1 for none), and how many are in it.

    It is the rate of mates within a population: what layers have in common there is weighed by how common it is among
    those of that country (`graphs.comparison`), so that all of them together do not say it again.
    """
    if not (country >= 0).any():
        return []
    people = np.bincount(country[country >= 0])
    octave = np.minimum(-np.log2(people / people.sum()), HOME_OCTAVES - 1).astype(np.int64) + 1

    def band(a: IntArray, b: IntArray) -> Bands:
        same = np.where(country[a] == country[b], octave[country[a]], 0)
        return np.where((country[a] >= 0) & (country[b] >= 0), same, -1).astype(np.int8)

    return [Habit(HOME, HOME, "They are of", HOME_WORDS, band, at_will=True)]
