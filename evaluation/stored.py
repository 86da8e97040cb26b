"""Measures a stored run against a file of labels."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ringwatch.evaluation.ablation import ablate, headline
from ringwatch.evaluation.calibration import calibrate
from ringwatch.evaluation.evaluate import EvaluationReport, assess
from ringwatch.evaluation.labels import read_benign_groups, read_labels, read_operations
from ringwatch.evaluation.peers import hold_peers
from ringwatch.evaluation.truth import select
from ringwatch.graphs import Detection
from ringwatch.metrics import Stopwatch
from ringwatch.pipeline import load_run, rehearse_run
from ringwatch.workspace import Workspace


def evaluate(
    workspace: Workspace,
    labels: Path,
    *,
    run_id: str | None = None,
    k: int | None = None,
    seed: int = 0,
    peers: bool = False,
    calibration: bool = False,
    ablation: bool = False,
    watch: Stopwatch | None = None,
) -> EvaluationReport:
    """The figures of a run, the newest unless one is named. Accounts whose label the run used are left out, with
    their whole group.

    `peers`, `calibration` and `ablation` take the log as the run saw it, and commit nothing.

    Raises:
        UsageError: there is no run, or no such file. DataError: the labels break the contract.
    """
    truth = read_labels(labels)
    operations, benign = read_operations(labels), read_benign_groups(labels)
    run = load_run(workspace, run_id)

    def measure(scores: pd.DataFrame, members: pd.DataFrame, clusters: pd.DataFrame) -> EvaluationReport:
        return assess(
            truth, scores, members, clusters, used=run.used_labels, operations=operations, benign_groups=benign,
            k=k, seed=seed, run_id=run.record.run_id,
        )  # fmt: skip

    report = measure(run.scores, run.members, run.clusters)
    with ExitStack() as stack:
        if peers or calibration or ablation:
            rehearsal = stack.enter_context(rehearse_run(workspace, run.record, watch=watch))
        if peers:
            with rehearsal.watch.stage("peers"):
                held = hold_peers(
                    rehearsal.con, lambda members, listed: measure(run.scores, members, listed), seed=run.record.seed
                )
            report = replace(report, peers=held)
        if calibration:
            counted = select(truth, run.scores["account_id"], run.used_labels)
            ids = pd.Index(rehearsal.gathered.accounts.ids)
            found = calibrate(
                rehearsal.weigh(), ids, counted, run.members, run.clusters, operations=operations,
                benign_groups=benign, seed=seed,
            )  # fmt: skip
            report = replace(report, calibration=found)
        if ablation:

            def weighed(found: Detection) -> EvaluationReport:
                return measure(found.scores, found.members, found.clusters)

            if run.record.model is not None:
                alone = headline(weighed(rehearsal.detect()))["auprc"].value
                report.warnings.append(
                    f"The run was scored by {run.record.model}; the ablation is of the evidence alone, of which, with"
                    f" all layers, the AUPRC is {'undefined' if alone is None else format(alone, '.3f')}."
                )
            report = replace(report, ablation=ablate(rehearsal, weighed))
    untimed = {table: rows for table, rows in run.record.untimed.items() if rows}
    if run.record.as_of and untimed:
        named = ", ".join(f"{rows} {table}" for table, rows in untimed.items())
        return replace(
            report,
            warnings=[
                *report.warnings,
                f"The run is as of {run.record.as_of}, and saw rows that have no time: {named}.",
            ],
        )
    return report
