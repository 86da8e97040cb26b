"""The models of a workspace: which one `detect` uses, and how it scores a run."""

from __future__ import annotations

from datetime import datetime

import duckdb
import numpy as np
import pandas as pd
from scipy.special import expit, logit

from ringwatch.clock import parse_time
from ringwatch.errors import UsageError
from ringwatch.gnn import Card, Scorer, build_graph, evidence_of, read_card, read_labels
from ringwatch.gnn.calibration import interval, shifted_prevalence
from ringwatch.gnn.training import with_own_labels
from ringwatch.graphs import Gathered, Judgement, Model
from ringwatch.graphs.accounts import FloatArray
from ringwatch.graphs.clusters import Formed
from ringwatch.pipeline.runs import find_run, read_record
from ringwatch.pipeline.writing import writer
from ringwatch.workspace import Current, Workspace


def model_for(workspace: Workspace, current: Current, as_of: datetime | None) -> str | None:
    """The promoted model, unless it knows more than was known at `as_of`; null where there is none to use."""
    if current.promoted is None:
        return None
    until = read_card(workspace.models_dir / current.promoted).known_until
    if as_of is not None and until is not None and parse_time(until) > as_of:
        return None
    return current.promoted


class Judged:
    """Scores a run by a model, and keeps how far what it saw has moved from what the model learnt from."""

    def __init__(self, con: duckdb.DuckDBPyConnection, scorer: Scorer) -> None:
        self._con, self._scorer = con, scorer
        self.drift: dict[str, float] = {}
        self.abstained = 0
        self.prevalence = scorer.card.prevalence

    def __call__(
        self, gathered: Gathered, model: Model, bits: FloatArray, formed: Formed, score: FloatArray
    ) -> Judgement:
        evidence = evidence_of(gathered, model, bits, formed, score)
        graph = build_graph(self._con, gathered, model, evidence)
        labels = read_labels(self._con, len(graph), evidence.cluster)
        view = self._scorer.view(graph, labels)
        z = self._scorer.log_odds(view)
        learnt_from = self._scorer.card.prevalence
        self.prevalence = shifted_prevalence(np.asarray(expit(z)), learnt_from)
        # Where all else is as it was and only more or fewer are abusive, the odds move by as much.
        shift = float(logit(self.prevalence) - logit(learnt_from))
        chance = expit(with_own_labels(z + shift, labels))
        profile = self._scorer.profile
        # An account unlike all that was learnt from is left to the evidence alone.
        unlike = profile.unlike(graph.names, graph.features)
        chance = np.where(unlike, evidence.score, chance)
        self.abstained = int(unlike.sum())
        moved = profile.index(graph.names, graph.features, np.asarray(expit(z)))
        self.drift = {str(name): round(float(psi), 4) for name, psi in moved.itertuples(index=False)}
        return Judgement(chance, self._scorer.head.shift(evidence, z))


def find_model(workspace: Workspace, model_id: str | None = None) -> str:
    """The id of the promoted model (the newest, where none is), or `model_id` where there is such a model.

    Raises:
        UsageError: there is none.
    """
    current = workspace.current()
    if not current.models:
        raise UsageError(f"There is no model yet in {workspace.root}.", hint="Make one with `ringwatch train`.")
    wanted = model_id or current.promoted or current.models[-1]
    if wanted not in current.models:
        raise UsageError(f"There is no model {wanted}.", hint="See `ringwatch models list`.")
    return wanted


def list_models(workspace: Workspace) -> list[Card]:
    """The cards of all models, newest first."""
    return [read_card(workspace.models_dir / model) for model in reversed(workspace.current().models)]


def promote_model(workspace: Workspace, model_id: str, *, wait: float = 10.0) -> Card:
    """Lets `detect` use a model from now on.

    Raises:
        UsageError: there is no such model. BusyError: another process writes for longer than `wait` seconds.
    """
    with writer(workspace, wait=wait):
        wanted = find_model(workspace, model_id)
        workspace.commit(workspace.current().with_(promoted=wanted))
    return read_card(workspace.models_dir / wanted)


def score_intervals(workspace: Workspace, scores: pd.DataFrame, run_id: str | None = None) -> pd.DataFrame:
    """What `load_scores` gave, with `low` and `high`: of accounts scored like this one, between these shares are
    abusive (nine times in ten). Both are null where no trained model made the score.

    Raises:
        UsageError: there is no run yet, or none of this id. RingwatchError: the run's model cannot be read.
    """
    model = read_record(workspace, find_run(workspace, run_id)).model
    if model is None or model not in workspace.current().models:
        return scores.assign(low=np.nan, high=np.nan)
    known = read_card(workspace.models_dir / model).intervals
    low, high = interval(known, scores["score"].to_numpy(dtype=np.float64))
    made = scores["calibrated"].to_numpy(dtype=np.bool_)
    return scores.assign(low=np.where(made, low, np.nan), high=np.where(made, high, np.nan))
