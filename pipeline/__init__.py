"""A workspace and a wish come in: make it, ingest, detect, look. What the rooms to the left do is put in order here,
and committed here; records of batches and runs go out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringwatch.doors import door

if TYPE_CHECKING:
    from ringwatch.pipeline.accounts import Dossier, load_account
    from ringwatch.pipeline.detect import run_detection
    from ringwatch.pipeline.erasure import forget
    from ringwatch.pipeline.facts import account_facts, later_batches, log_facts
    from ringwatch.pipeline.ingest import ingest_drop
    from ringwatch.pipeline.models import find_model, list_models, promote_model, score_intervals
    from ringwatch.pipeline.rehearsal import Rehearsal, rehearse, rehearse_run
    from ringwatch.pipeline.runs import (
        Run,
        RunRecord,
        compare_runs,
        load_cluster,
        load_organization,
        load_run,
        load_scores,
    )
    from ringwatch.pipeline.search import Match, find, whole_token
    from ringwatch.pipeline.stores import export_import_files, open_store
    from ringwatch.pipeline.training import TrainReport, hetero_data, train_model
    from ringwatch.pipeline.verdicts import store_verdicts
    from ringwatch.pipeline.why import Why, explain, explain_all
    from ringwatch.pipeline.workspaces import apply_schema, create_workspace, examine, rebuild, rotate
    from ringwatch.pipeline.writing import catch_up
else:
    __getattr__ = door(__name__)

__all__ = [
    "Dossier",
    "Match",
    "Rehearsal",
    "Run",
    "RunRecord",
    "TrainReport",
    "Why",
    "account_facts",
    "apply_schema",
    "catch_up",
    "compare_runs",
    "create_workspace",
    "examine",
    "explain",
    "explain_all",
    "export_import_files",
    "find",
    "find_model",
    "forget",
    "hetero_data",
    "ingest_drop",
    "later_batches",
    "list_models",
    "load_account",
    "load_cluster",
    "load_organization",
    "load_run",
    "load_scores",
    "log_facts",
    "open_store",
    "promote_model",
    "rebuild",
    "rehearse",
    "rehearse_run",
    "rotate",
    "run_detection",
    "score_intervals",
    "store_verdicts",
    "train_model",
    "whole_token",
]
