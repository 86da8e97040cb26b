"""Whether a safeguard works: what it refused of what was harmful, what it refused beside that, and what of the things
that it refused got through elsewhere. In chat, through the API and in agents, at those who are suspected and at all
others.

Harm is what an upstream classifier found, which misses most of it; that the same text was refused before is known
without one. Events of one operation are refused or answered together, so intervals are over clusters, and over
accounts outside of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ringwatch.cells import interval
from ringwatch.evaluation.intervals import Estimate, mean_estimate, share_estimate
from ringwatch.evaluation.plots import Line, line_chart
from ringwatch.graphs import collect_accounts
from ringwatch.graphs.accounts import ASKS, CATEGORY, HARMFUL
from ringwatch.graphs.content import prompt_families, sent_prompts
from ringwatch.metrics import Stopwatch
from ringwatch.pipeline import Run, rehearse_run
from ringwatch.workspace import Workspace

SUSPECTED = 0.5
"""Members of clusters of this score or more are suspected."""

SURFACES = ("chat", "api", "agents", "other")
"""Where a model is asked. What is asked in a session that calls tools is asked in an agent."""

SPANS, LEAST = 12, 20
"""In a course of time each surface has at most so many spans, of about as many harmful events each, or so many."""


REFUSED_COLUMNS = ("", "of", "harmful", "refused", "95 %", "harmless", "refused", "95 %")
ANSWERED_COLUMNS = ("refused somewhere, again in", "of", "texts", "events", "answered", "95 %")
"""What the `cells` of `Refusals` and of `Answered` are."""


@dataclass(frozen=True)
class Refusals:
    """What was refused of some events that a safeguard has judged: of the `harmful` ones, and of the `harmless`, each
    with the share that was refused. `by` says what the events have in common (surface, harm, model, or all of them)
    and `who` whose they are: suspected, others, or everyone."""

    by: str
    value: str
    who: str
    harmful: int
    refused: Estimate
    harmless: int
    refused_harmless: Estimate

    def cells(self) -> tuple[str, ...]:
        return (
            self.value, self.who, f"{self.harmful:,}", *interval(self.refused), f"{self.harmless:,}",
            *interval(self.refused_harmless, 4),
        )  # fmt: skip

    def document(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "value": self.value,
            "who": self.who,
            "harmful": self.harmful,
            "refused": self.refused.document(),
            "harmless": self.harmless,
            "refused_harmless": self.refused_harmless.document(),
        }


@dataclass(frozen=True)
class Answered:
    """What became of texts of which any was refused, on whatever surface and whoever sent it, where some sent them on
    one surface: `families` of texts, `sent` events besides the first that was refused, and the share of these that
    was answered, as a mean over families: a text that thousands send says no more than another."""

    surface: str
    who: str
    families: int
    sent: int
    answered: Estimate

    def cells(self) -> tuple[str, ...]:
        return self.surface, self.who, f"{self.families:,}", f"{self.sent:,}", *interval(self.answered)

    def document(self) -> dict[str, Any]:
        return {
            "surface": self.surface,
            "who": self.who,
            "families": self.families,
            "sent": self.sent,
            "answered": self.answered.document(),
        }


@dataclass(frozen=True)
class Safeguards:
    """What a run's log says of safeguards. `judged` is the number of events that say whether they were refused,
    `unjudged` that of those that do not. `course`: surface, begin and end (days since the first event, both within),
    harmful, refused."""

    run_id: str
    min_score: float
    judged: int
    unjudged: int
    refusals: tuple[Refusals, ...]
    answered: tuple[Answered, ...]
    course: pd.DataFrame

    def document(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "min_score": self.min_score,
            "judged": self.judged,
            "unjudged": self.unjudged,
            "refusals": [one.document() for one in self.refusals],
            "answered": [one.document() for one in self.answered],
            "course": self.course.to_dict("records"),
        }


def safeguards(
    workspace: Workspace,
    run: Run,
    *,
    min_score: float = SUSPECTED,
    seed: int = 0,
    watch: Stopwatch | None = None,
) -> Safeguards:
    """What was refused and what was not, in the log as a run saw it. Commits nothing."""
    with rehearse_run(workspace, run.record, watch=watch) as seen:
        with seen.watch.stage("events"):
            events = _events(seen.con, _units(run, min_score))
        with seen.watch.stage("prompts"):
            sent = _sent_again(seen.con)
    known = events[events["refused"].notna()]
    return Safeguards(
        run.record.run_id,
        min_score,
        int(known["n"].sum()),
        int(events["n"].sum() - known["n"].sum()),
        tuple(_tables(known.assign(refused=known["refused"].astype(bool)), seed)),
        tuple(_answered(sent, seed)),
        _course(known),
    )


def refusal_chart(found: Safeguards) -> str:
    """The share of harmful events that was refused in the course of time, by surface; an SVG document."""
    course = found.course.assign(day=found.course["begin"] + (found.course["end"] - found.course["begin"]) / 2)
    course["share"] = course["refused"] / course["harmful"]
    lines = [
        Line(str(surface), list(rows[["day", "share"]].itertuples(index=False, name=None)))
        for surface, rows in course.groupby("surface")
    ]
    return line_chart(lines, title="Harmful events that were refused", x="days since the first event", y="share")


def _units(run: Run, min_score: float) -> pd.DataFrame:
    """account_id, unit (a cluster, or an account of its own), suspected."""
    scored = run.scores[["account_id", "cluster_id"]]
    score = run.clusters.set_index("cluster_id")["score"]
    unit = pd.factorize(scored["cluster_id"].fillna("account " + scored["account_id"]))[0]
    suspected = (scored["cluster_id"].map(score) >= min_score).to_numpy(dtype=np.bool_)
    return pd.DataFrame({"account_id": scored["account_id"], "unit": unit, "suspected": suspected})


_ASKED = f"""
    SELECT *, {HARMFUL} AS harmful,
           CASE WHEN kind = 'tool_call' OR (session IS NOT NULL AND bool_or(kind = 'tool_call') OVER (
                    PARTITION BY account_id, session)) THEN 'agents'
                WHEN kind IN ('chat', 'api') THEN kind ELSE 'other' END AS surface
    FROM events JOIN units USING (account_id) WHERE {ASKS}"""
"""What is asked of a model, on which surface, and whose unit asks."""


def _events(con: duckdb.DuckDBPyConnection, units: pd.DataFrame) -> pd.DataFrame:
    """unit, suspected, surface, harm, model, day, harmful, refused (null where it is not said), n (events)."""
    con.register("units", units)
    return con.execute(
        f"""SELECT unit, suspected, surface, model, harmful, refused,
                   CASE WHEN harmful THEN {CATEGORY} END AS harm,
                   (epoch(ts - (SELECT min(ts) FROM events)) // 86400)::INTEGER AS day, count(*) AS n
            FROM ({_ASKED}) GROUP BY ALL ORDER BY ALL"""
    ).df()


def _sent_again(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """family, suspected, surface, n (events) and answered (events) of families of texts of which any was refused,
    without the first event of each that was. Needs `units`."""
    collect_accounts(con)
    sent = sent_prompts(con)
    families = pd.DataFrame({"prompt": sent.code, "family": prompt_families(sent).of_text})
    con.register("families", families)
    return con.execute(
        f"""SELECT family, suspected, surface, count(*) AS n, count(*) FILTER (NOT refused) AS answered
            FROM (SELECT *, min(CASE WHEN refused THEN place END) OVER (PARTITION BY family) AS first
                  FROM (SELECT family, suspected, surface, refused,
                               row_number() OVER (PARTITION BY family ORDER BY ts, account_id, refused) AS place
                        FROM ({_ASKED}) JOIN families USING (prompt) WHERE refused IS NOT NULL))
            WHERE first IS NOT NULL AND place <> first GROUP BY ALL ORDER BY ALL"""
    ).df()


def _tables(events: pd.DataFrame, seed: int) -> list[Refusals]:
    found = [_refusals(events, "all", "events", "everyone", seed)] if len(events) else []
    for surface in SURFACES:
        found += [
            _refusals(rows, "surface", surface, who, seed)
            for who, rows in _sides(events[events["surface"] == surface])
        ]
    for column in ("harm", "model"):
        for value in _busiest(events, column):
            found.append(_refusals(events[events[column] == value], column, str(value), "everyone", seed))
    return found


def _sides(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Everyone's rows, those of suspects and those of all others, as far as there are any."""
    sides = {"everyone": rows, "suspected": rows[rows["suspected"]], "others": rows[~rows["suspected"]]}
    return [(who, some) for who, some in sides.items() if len(some)]


_LISTED = 12


def _busiest(events: pd.DataFrame, column: str) -> Sequence[Hashable]:
    """The values of a column that most harmful events have, then most events."""
    counts = events.assign(harm_n=events["n"] * events["harmful"]).groupby(column)[["harm_n", "n"]].sum()
    return list(counts.reset_index().sort_values(["harm_n", "n", column], ascending=[False, False, True])[column])[
        :_LISTED
    ]


def _refusals(events: pd.DataFrame, by: str, value: str, who: str, seed: int) -> Refusals:
    harmful, harmless = events[events["harmful"]], events[~events["harmful"]]
    return Refusals(
        by, value, who, int(harmful["n"].sum()), _share(harmful, seed), int(harmless["n"].sum()),
        _share(harmless, seed),
    )  # fmt: skip


def _share(events: pd.DataFrame, seed: int) -> Estimate:
    """The share of events that was refused."""
    sums = events.assign(part=events["n"] * events["refused"]).groupby("unit")[["part", "n"]].sum()
    return share_estimate(sums["part"].to_numpy(dtype=np.int64), sums["n"].to_numpy(dtype=np.int64), seed=seed)


def _answered(sent: pd.DataFrame, seed: int) -> list[Answered]:
    found = []
    for surface in SURFACES:
        for who, rows in _sides(sent[sent["surface"] == surface]):
            sums = rows.groupby("family")[["answered", "n"]].sum()
            share = (sums["answered"] / sums["n"]).to_numpy(dtype=np.float64)
            found.append(Answered(surface, who, len(sums), int(sums["n"].sum()), mean_estimate(share, seed=seed)))
    return found


def _course(events: pd.DataFrame) -> pd.DataFrame:
    harmful = events[events["harmful"]]
    daily = harmful.assign(refused=harmful["n"] * harmful["refused"]).groupby(["surface", "day"], as_index=False)
    days = daily[["n", "refused"]].sum()
    total = days.groupby("surface")["n"].transform("sum")
    # Spans of about as many events each: where few are harmful, a week says nothing.
    size = np.maximum(total / SPANS, LEAST)
    before = days.groupby("surface")["n"].cumsum() - days["n"]
    span = np.minimum(before // size, np.maximum(total // size - 1, 0))
    return days.groupby(["surface", span.rename("span")], as_index=False).agg(
        begin=("day", "min"), end=("day", "max"), harmful=("n", "sum"), refused=("refused", "sum")
    )[["surface", "begin", "end", "harmful", "refused"]]
