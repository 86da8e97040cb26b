"""A run written up for colleagues: what was read, what was found and why, what became of it, whether safeguards work,
how good the detector is where that is known, and what the data cannot show. No account is named in it.

One text, as HTML or as Markdown. The same run, labels and cases give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from ringwatch.cells import interval, number
from ringwatch.errors import UsageError
from ringwatch.evaluation import EvaluationReport, Safeguards, evaluate, refusal_chart, safeguards
from ringwatch.evaluation.safeguards import ANSWERED_COLUMNS, REFUSED_COLUMNS, SUSPECTED
from ringwatch.export.drawing import waterfalls
from ringwatch.export.json_format import records
from ringwatch.export.markup import page, shown, table
from ringwatch.export.said import NOT_MALICIOUS, abuse_in_words, days_seen
from ringwatch.export.text import escaped
from ringwatch.graphs.clusters import ABUSE_LAYERS, BASE_LAYER, BOUND_LAYER, WEAKER_LAYER
from ringwatch.ingest import list_quarantine
from ringwatch.metrics import Stopwatch
from ringwatch.pipeline import Run, compare_runs, load_run, log_facts
from ringwatch.review import Book, load_book
from ringwatch.workspace import Workspace, write_file

_SUMS = ("prior", BASE_LAYER, WEAKER_LAYER, BOUND_LAYER)
"""What is said of every cluster alike, so that its reasons add up."""

_CHANGES = ("born", "returned", "grew", "shrank", "merged", "split", "ended")

_BLIND = {
    "ip": "addresses",
    "device": "devices",
    "payment": "cards",
    "user_agent": "user agents",
    "prompt": "prompts",
    "tool": "tool calls",
}


@dataclass(frozen=True)
class Grid:
    """A table: rows of cells under columns; `numbers` are the places of columns of numbers."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Section:
    """A part of the text. `picture` is an SVG document, which Markdown leaves out."""

    title: str
    said: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
    picture: str = ""


@dataclass(frozen=True)
class Report:
    """A run, written up. `suspected`: clusters of `min_score` or more."""

    run_id: str
    suspected: int
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class WrittenReport:
    """The file of a report and its SHA-256."""

    report: Report
    output: Path
    sha256: str

    def document(self) -> dict[str, Any]:
        return {
            "run_id": self.report.run_id,
            "suspected": self.report.suspected,
            "sections": [section.title for section in self.report.sections],
            "output": str(self.output),
            "sha256": self.sha256,
        }


def write_report(
    workspace: Workspace,
    output: Path,
    *,
    run_id: str | None = None,
    labels: Path | None = None,
    min_score: float = SUSPECTED,
    limit: int = 20,
    watch: Stopwatch | None = None,
) -> WrittenReport:
    """Writes up a run, the newest unless one is named, as `output` (.html or .md); a file that is there is replaced.

    Args:
        labels: a labels table that the run did not see, to be measured against. min_score: clusters of this score or
            more are suspected. limit: clusters and organizations that are listed, the first ones.

    Raises:
        UsageError: there is no run, no such file, or `output` has another ending or cannot be written. DataError: the
        labels break the contract.
    """
    render = _RENDERERS.get(output.suffix)
    if render is None:
        raise UsageError(f"{output} ends in none of {', '.join(_RENDERERS)}.", hint="Name the format by the ending.")
    report = compose(workspace, run_id=run_id, labels=labels, min_score=min_score, limit=limit, watch=watch)
    data = render(report)
    write_file(output, data)
    return WrittenReport(report, output, hashlib.sha256(data).hexdigest())


def compose(
    workspace: Workspace,
    *,
    run_id: str | None,
    labels: Path | None,
    min_score: float,
    limit: int,
    watch: Stopwatch | None = None,
) -> Report:
    """The text of a report, as `write_report` has it."""
    run = load_run(workspace, run_id)
    measured = None if labels is None else evaluate(workspace, labels, run_id=run.record.run_id, watch=watch)
    kept = safeguards(workspace, run, min_score=min_score, watch=watch)
    read, book = log_facts(workspace, run.record), load_book(workspace)
    suspected = run.clusters[run.clusters["score"] >= min_score]
    sections = [
        _in_short(run, read, suspected, min_score),
        _clusters(run, book, limit),
        _ties(run, suspected),
        _organizations(run, limit),
        *([_changes(workspace, run)] if run.record.previous in workspace.current().runs else []),
        _decisions(book),
        _safeguards(kept),
        *([] if measured is None else [_quality(measured)]),
        _read(workspace, run, read),
        _limits(run, read),
    ]
    return Report(run.record.run_id, len(suspected), tuple(sections))


def _in_short(run: Run, read: pd.DataFrame, suspected: pd.DataFrame, min_score: float) -> Section:
    record, events = run.record, int(read["events"].sum())
    said = [f"{record.accounts:,} accounts and {events:,} events were read{_span(read)}."]
    inside = run.members["cluster_id"].isin(suspected["cluster_id"])
    days = run.timeline[run.timeline["cluster_id"].isin(suspected["cluster_id"])]
    flagged, all_flagged = int(days["harmful"].sum()), int(read["flagged"].sum())
    accounts = int(inside.sum())
    said.append(
        f"{len(run.clusters):,} clusters of three accounts or more were found. {len(suspected):,} have a score of"
        f" {min_score:g} or more: {accounts:,} accounts ({_share(accounts, record.accounts)} of all), which sent"
        f" {_share(days['events'].sum(), events)} of all events, and {flagged:,} of the {all_flagged:,} that were"
        f" found harmful or refused ({_share(flagged, all_flagged)})."
    )
    what = "one operation each" if run.clusters["abuse"].isna().all() else "abusive operations"
    said.append(f"By their scores, {run.clusters['score'].sum():.1f} of all clusters are {what}.")
    source = f"the model {record.model}" if record.model else "the evidence alone"
    labels = "labels and suspensions were used" if record.labels else "no label, status or model was used"
    said.append(f"Accounts are scored by {source}; {labels}.")
    return Section("In short", tuple(said))


def _clusters(run: Run, book: Book, limit: int) -> Section:
    first = records(run.clusters.head(limit))
    counts = run.timeline.groupby("cluster_id")[["events", "harmful"]].sum()
    events, flagged = ({} if counts.empty else counts[name].to_dict() for name in ("events", "harmful"))
    rows, why = [], []
    for one in first:
        name = one["cluster_id"]
        cases = book.of_cluster(name)
        rows.append((
            name, one["size"], f"{one['score']:.3f}", f"{one['coordination']:.3f}", abuse_in_words(one["abuse"]),
            f"{flagged.get(name, 0):,} of {events.get(name, 0):,}", days_seen(one), one["status"],
            f"{cases[-1].case_id}: {cases[-1].state}" if cases else "",
        ))  # fmt: skip
        asked = waterfalls(
            [row for row in records(run.evidence[run.evidence["cluster_id"] == name]) if row["layer"] not in _SUMS]
        )
        strongest = [one.reasons[0]["text"] for one in asked if one.reasons[0]["bits"] > 0]
        against = [one.reasons[-1]["text"] for one in asked if one.reasons[-1]["bits"] < 0]
        why.append((name, " ".join(strongest), " ".join(against)))
    columns = ("cluster", "accounts", "score", "one operation", "abuse", "flagged events", "seen", "status", "case")
    grids = (
        Grid(columns, rows, (1, 2, 3)),
        Grid(("cluster", "strongest for one operation, and for abuse", "strongest against"), why),
    )
    said = [NOT_MALICIOUS]
    if len(run.clusters) > limit:
        said.append(f"The first {limit} of {len(run.clusters):,}; `ringwatch clusters list` has the others.")
    return Section("Clusters", tuple(said), grids if rows else ())


def _ties(run: Run, suspected: pd.DataFrame) -> Section:
    """By what suspected clusters are one operation: their tradecraft, as far as it shows."""
    reasons = run.evidence[
        run.evidence["cluster_id"].isin(suspected["cluster_id"])
        & ~run.evidence["against"].astype(bool)
        & ~run.evidence["layer"].isin(ABUSE_LAYERS)
    ]
    strongest = reasons.loc[reasons.groupby("cluster_id")["bits"].idxmax(), "layer"].value_counts()
    by_layer = reasons.groupby("layer").agg(clusters=("cluster_id", "nunique"), bits=("bits", "median"))
    by_layer = by_layer.assign(strongest=strongest.reindex(by_layer.index).fillna(0).astype(int)).reset_index()
    by_layer = by_layer.sort_values(["clusters", "strongest", "layer"], ascending=[False, False, True])
    rows = [
        (
            one["layer"].replace("_", " "), one["clusters"], _share(one["clusters"], len(suspected)),
            one["strongest"], f"{one['bits']:+.1f}",
        )
        for one in records(by_layer)
    ]  # fmt: skip
    columns = ("what members share", "suspected clusters", "share", "strongest in", "bits, median")
    said = (
        "What ties the members of suspected clusters, as far as it is seen." if rows else "No cluster is suspected."
    )
    return Section("How they hold together", (said,), (Grid(columns, rows, (1, 2, 3, 4)),) if rows else ())


def _organizations(run: Run, limit: int) -> Section:
    several = run.organizations[run.organizations["clusters"].map(len) > 1]
    rows = [
        (
            one["organization_id"], ", ".join(one["clusters"]), one["accounts"], f"{one['score']:.3f}",
            abuse_in_words(one["abuse"]), ", ".join(name.replace("_", " ") for name in one["layers"]),
        )
        for one in records(several.head(limit))
    ]  # fmt: skip
    said = (
        f"{len(several):,} organizations have more than one cluster." if rows else "No party stands behind several."
    )
    columns = ("organization", "clusters", "accounts", "score", "abuse", "tied by")
    return Section("Organizations", (said,), (Grid(columns, rows, (2, 3)),) if rows else ())


def _changes(workspace: Workspace, run: Run) -> Section:
    found = compare_runs(workspace, None, run.record.run_id)
    document = found.document()
    rows = [(kind, len(document[kind])) for kind in _CHANGES if document[kind]]
    said = (
        f"From run {found.before}: {document['known']:,} clusters as they were, {len(found.moved):,} accounts moved."
    )
    return Section("Since the run before", (said,), (Grid(("what became", "clusters"), rows, (1,)),) if rows else ())


def _decisions(book: Book) -> Section:
    states = Counter(str(case.state) for case in book.cases.values())
    if not states:
        return Section("Decisions", ("No cluster was opened as a case.",))
    return Section("Decisions", (), (Grid(("state of the case", "cases"), sorted(states.items()), (1,)),))


def _safeguards(found: Safeguards) -> Section:
    if not found.judged:
        return Section("Safeguards", ("No event says whether it was refused.",))
    said = (
        f"{found.judged:,} events say whether they were refused, {found.unjudged:,} do not. Harmful is what an"
        " upstream classifier found, which misses most of what an operation sends. Intervals are of 95 %, over"
        " clusters and over accounts outside of them. Who asks in a session that calls tools asks in an agent.",
    )
    grids = [Grid(REFUSED_COLUMNS, [one.cells() for one in found.refusals], (2, 3, 5, 6))]
    if found.answered:
        grids.append(Grid(ANSWERED_COLUMNS, [one.cells() for one in found.answered], (2, 3, 4)))
    return Section("Safeguards", said, tuple(grids), refusal_chart(found))


def _quality(found: EvaluationReport) -> Section:
    counts = found.counts
    said = [
        f"Held to labels: {counts['evaluated']:,} accounts, {counts['abusive']:,} of them abusive, and"
        f" {counts['recoverable_groups']} groups of three or more. What the run had as labels is left out.",
        *found.warnings,
    ]
    rows = [
        (of, name.replace("_", " "), *interval(one))
        for of, figures in (("accounts", found.accounts), ("clusters", found.clusters))
        for name, one in figures.items()
    ]
    grids = [Grid(("of", "figure", "value", "95 %"), rows, (2,))]
    if found.kinds:
        kinds = [(one.kind, one.groups, *interval(one.recovery), number(one.attainable)) for one in found.kinds]
        grids.append(Grid(("kind of operation", "groups", "recovery", "95 %", "attainable"), kinds, (1, 2, 4)))
    return Section("How good it is", tuple(said), tuple(grids))


def _read(workspace: Workspace, run: Run, read: pd.DataFrame) -> Section:
    record = run.record
    rows = [
        (
            one["kind"],
            f"{one['events']:,}",
            f"{one['accounts']:,}",
            *(_share(one[f"with_{name}"], one["events"]) for name in _BLIND),
        )
        for one in records(read)
    ]
    bad = Counter[str]()
    for batch in list_quarantine(workspace, workspace.current()):
        bad.update(batch.reasons)
    facts = [
        ("run", record.run_id), ("batches", len(record.batches)), ("as of", record.as_of or "all that was known"),
        ("seed", record.seed), ("version", metadata.version("ringwatch")), ("digest", record.digest),
        ("rows in quarantine", f"{bad.total():,}" + "".join(f"; {name} {n:,}" for name, n in sorted(bad.items()))),
    ]  # fmt: skip
    columns = ("kind of event", "events", "accounts", *(f"with {what}" for what in _BLIND.values()))
    return Section(
        "What was read",
        (),
        (Grid(("", ""), facts), Grid(columns, rows, tuple(range(1, len(columns))))),
    )


def _limits(run: Run, read: pd.DataFrame) -> Section:
    said = [
        f"No event has {what}: who shares only these is not found."
        for name, what in _BLIND.items()
        if not read[f"with_{name}"].sum()
    ]
    if not read[["with_harm", "with_refused"]].to_numpy().sum():
        said.append("Nothing in the data says what does harm: scores say coordination only.")
    if run.record.as_of and any(run.record.untimed.values()):
        rows = ", ".join(f"{n:,} {name}" for name, n in run.record.untimed.items() if n)
        said.append(f"Rows without a time are known at any moment, before it too: {rows}.")
    if run.record.abstained:
        said.append(
            f"{run.record.abstained:,} accounts were too unlike what the model learnt from to be scored by it."
        )
    said += [
        "Operations that share nothing observable are not found; a low score does not clear an account.",
        "A score ranks, and is right on average where alarms are; on one cluster the evidence decides, and a person.",
    ]
    return Section("What this cannot show", tuple(said))


def _span(read: pd.DataFrame) -> str:
    if read.empty:
        return ""
    return f", from {read['first'].min():%Y-%m-%d} to {read['last'].max():%Y-%m-%d}"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _title(report: Report) -> str:
    return f"What run {report.run_id} found"


def _html(report: Report) -> bytes:
    def parts() -> Iterator[str]:
        yield f"<h1>{shown(_title(report))}</h1>"
        for section in report.sections:
            yield f"<h2>{shown(section.title)}</h2>"
            yield from (f"<p>{shown(sentence)}</p>" for sentence in section.said)
            yield from (table(grid.columns, grid.rows, numbers=grid.numbers) for grid in section.grids)
            yield section.picture

    return page(_title(report), filter(None, parts()))


def _markdown(report: Report) -> bytes:
    def line(cells: Sequence[Any]) -> str:
        return f"| {' | '.join(_cell(cell) for cell in cells)} |"

    lines = [f"# {_cell(_title(report))}", ""]
    for section in report.sections:
        lines += [f"## {section.title}", ""]
        for sentence in section.said:
            lines += [_cell(sentence), ""]
        for grid in section.grids:
            rule = ["---:" if place in grid.numbers else "---" for place in range(len(grid.columns))]
            lines += [line(grid.columns), f"|{'|'.join(rule)}|", *(line(row) for row in grid.rows), ""]
    return "\n".join(lines).encode()


_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]<>#|"})


def _cell(text: Any) -> str:
    """Text that is no markup of Markdown."""
    return escaped(str(text)).translate(_MARKS)


_RENDERERS: dict[str, Callable[[Report], bytes]] = {".html": _html, ".md": _markdown}
