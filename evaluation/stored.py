"""Measures a stored run against a file of labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ringwatch.evaluation.evaluate import EvaluationReport, assess
from ringwatch.evaluation.labels import read_labels, read_operations
from ringwatch.pipeline import load_run, load_scores
from ringwatch.workspace import Workspace


def evaluate(
    workspace: Workspace, labels: Path, *, run_id: str | None = None, k: int | None = None, seed: int = 0
) -> EvaluationReport:
    """The figures of a run, the newest unless one is named. Accounts whose label the run used are left out, with
    their whole group.

    Raises:
        UsageError: there is no run, or no such file. DataError: the labels break the contract.
    """
    truth = read_labels(labels)
    run = load_run(workspace, run_id)
    report = assess(
        truth,
        load_scores(workspace, run.record.run_id),
        run.members,
        run.clusters,
        used=run.used_labels,
        operations=read_operations(labels),
        k=k,
        seed=seed,
        run_id=run.record.run_id,
    )
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
