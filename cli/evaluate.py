"""`evaluate`: how good a run is, where some of the answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ringwatch.cells import interval, number
from ringwatch.cli.listing import OfRun
from ringwatch.cli.session import Plot, Session, command
from ringwatch.errors import UsageError
from ringwatch.workspace import write_file

if TYPE_CHECKING:
    from ringwatch.evaluation import Ablation, Calibration, Estimate, EvaluationReport, Peer


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "evaluate")(_evaluate)


def _evaluate(
    session: Session,
    labels: Annotated[Path, typer.Option(help="A labels table that the run did not see.")],
    run: OfRun = None,
    k: Annotated[int | None, typer.Option(help="Depth of precision and recall.", min=1)] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="Beside it: components, Louvain, Leiden, label propagation.")
    ] = False,
    ablate: Annotated[
        bool,
        typer.Option("--ablate", help="Each group of layers left out, and alone; what is said besides left out."),
    ] = False,
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Of the pairs that claim p, how many are right.")
    ] = False,
    plot: Plot = None,
) -> None:
    """Measure a run against labels, with 95 % intervals over whole groups."""
    from ringwatch.evaluation import evaluate, reliability_chart

    if plot and not calibration:
        raise UsageError("--plot draws the calibration.", hint="Give --calibration as well.")
    report = evaluate(
        session.workspace(), labels, run_id=run, k=k, peers=peers, calibration=calibration, ablation=ablate,
        watch=session.watch(),
    )  # fmt: skip
    if plot and report.calibration:
        write_file(plot, reliability_chart(report.calibration).encode())
    for warning in report.warnings:
        typer.echo(f"ringwatch: {warning}", err=True)
    session.say("evaluate", report.document(), lambda: _show(session, report))


def _show(session: Session, report: EvaluationReport) -> None:
    counts = report.counts
    session.line(
        f"Run {report.run_id}: {counts['evaluated']:,} labelled accounts, {counts['abusive']:,} abusive, "
        f"{counts['recoverable_groups']} groups of three or more."
    )
    tables = {"accounts": report.accounts, "clusters": report.clusters}
    tables |= {f"at {share:.1%} abusive": figures for share, figures in report.corrected.items()}
    for title, figures in tables.items():
        session.line()
        session.table((title, "", "95 %"), _rows(figures), right=("",))
    if report.kinds:
        session.line()
        rows = [(one.kind, one.groups, number(one.recovery.value), number(one.attainable)) for one in report.kinds]
        session.table(("kind", "groups", "recovery", "attainable"), rows, right=("groups", "recovery", "attainable"))
    if report.lookalikes:
        session.line()
        columns = ("mostly benign", "place", "accounts", "benign", "most of them in", "kind")
        named = [
            (one.cluster_id, one.place, one.size, one.benign, one.group_id, one.kind) for one in report.lookalikes
        ]
        session.table(columns, named, right=("place", "accounts", "benign"))
    if report.peers is not None:
        _show_peers(session, report, report.peers)
    if report.calibration is not None:
        _show_calibration(session, report.calibration)
    if report.ablation is not None:
        _show_ablation(session, report, report.ablation)


def _show_peers(session: Session, report: EvaluationReport, peers: tuple[Peer, ...]) -> None:
    columns: tuple[EvaluationReport | Peer, ...] = (report, *peers)
    rows = [
        (name.replace("_", " "), *(number(one.clusters[name].value) for one in columns)) for name in peers[0].clusters
    ]
    rows += [
        (f"recovery of {kind[0].kind}", *(number(one.recovery.value) for one in kind))
        for kind in zip(report.kinds, *(peer.kinds for peer in peers), strict=True)
    ]
    names = ["ringwatch", *(peer.name for peer in peers)]
    session.line()
    session.table(("", *names), rows, right=names)


def _show_calibration(session: Session, calibration: Calibration) -> None:
    session.line()
    layers = {f"strongest: {name}": one for name, one in calibration.layers.items()}
    rows = [
        (
            name, f"{one.pairs:,}", number(one.claimed.value), number(one.right.value), *interval(one.ece),
            number(one.ece_equal_mass.value),
        )
        for name, one in {
            "all": calibration.pairs, "edges that stand": calibration.standing,
            "all, were a campus one party": calibration.grouped,
            "all, were no benign group one": calibration.strict, **layers,
        }.items()
    ]  # fmt: skip
    columns = ("pairs", "number", "claimed", "right", "error", "95 %", "error, equal mass")
    session.table(columns, rows, right=("number", "claimed", "right", "error", "error, equal mass"))
    session.line()
    bins = [
        (f"{one.low:.2f} to {one.high:.2f}", f"{one.pairs:,}", number(one.claimed), number(one.right))
        for one in calibration.pairs.bins
    ]
    session.table(("claim", "pairs", "claimed", "right"), bins, right=("pairs", "claimed", "right"))
    session.line()
    clusters = [
        (f"{name}, {one.low:.2f} to {one.high:.2f}", f"{one.pairs:,}", number(one.claimed), number(one.right))
        for name, found in calibration.clusters.items()
        for one in found.bins
    ]
    session.table(("clusters", "number", "claimed", "right"), clusters, right=("number", "claimed", "right"))
    session.line()
    kinds = [(one.kind, f"{one.pairs:,}", number(one.claimed), f"{one.standing:,}") for one in calibration.kinds]
    session.table(("pairs within", "pairs", "claimed", "standing"), kinds, right=("pairs", "claimed", "standing"))


def _show_ablation(session: Session, report: EvaluationReport, ablation: tuple[Ablation, ...]) -> None:
    from ringwatch.evaluation import headline

    whole = headline(report)
    for title, runs in (
        ("without", [(one.group, one.left_out) for one in ablation]),
        ("alone", [(one.group, one.alone) for one in ablation if one.alone is not None]),
    ):
        session.line()
        rows = [
            (name, *(number(figures[figure].value) for figure in whole))
            for name, figures in [("(all layers)", whole), *runs]
        ]
        names = [figure.replace("_", " ") for figure in whole]
        session.table((title, *names), rows, right=names)


def _rows(figures: dict[str, Estimate]) -> list[tuple[str, str, str]]:
    return [(name.replace("_", " "), *interval(figure)) for name, figure in figures.items()]
