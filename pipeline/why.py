"""What `explain` does as a whole: the newest run's log again, the model that scored it, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ringwatch.errors import UsageError
from ringwatch.gnn import Scorer, counterfactual, load_model
from ringwatch.gnn.counterfactual import Part, Ties
from ringwatch.gnn.explain import Explanation, explain_account, sentence
from ringwatch.gnn.task import View
from ringwatch.graphs import Model
from ringwatch.graphs.resolve import tokens_of
from ringwatch.metrics import Stopwatch
from ringwatch.pipeline.rehearsal import Rehearsal, rehearse_run
from ringwatch.pipeline.runs import Run, load_run
from ringwatch.pipeline.training import prepare
from ringwatch.workspace import Workspace

TOP = 3
"""Entities that are taken out together to see whether an explanation holds."""

SHOWN = 12

LEAST_SHARE = 0.01
"""Smaller reasons, in bits, are not drawn."""


LEAST_GAP = 0.0005
"""Probabilities that differ by less are told alike."""


@dataclass(frozen=True)
class Why:
    """Why an account or a cluster has its score.

    `kind`: account or cluster. `entities`: layer, text, entity (a token), accounts, bits (what a pair loses without
    it, on average). `breaks`: the fewest entities without which less than half of it hangs together (an account: its
    ties alone), `left` the share that then does. `explanation` is of a model's score of an account; without a model
    the score is that of the evidence, and `fidelity` is of the ties.
    """

    kind: str
    name: str
    run_id: str
    model: str | None
    score: float
    sentence: str
    entities: list[dict[str, Any]]
    breaks: list[dict[str, Any]]
    left: float
    fidelity: dict[str, float]
    explanation: Explanation | None

    @property
    def shares(self) -> list[dict[str, Any]]:
        """What can be drawn: layer, bits and text, by reason of the model where there is one, else by entity."""
        if self.explanation is None:
            return [{"layer": one["layer"], "bits": one["bits"], "text": one["text"]} for one in self.entities]
        return [
            {"layer": "reason", "bits": one.bits, "text": one.theme}
            for one in self.explanation.reasons
            if abs(one.bits) >= LEAST_SHARE
        ]

    def document(self) -> dict[str, Any]:
        """The JSON document of `ringwatch explain --json`, without its schema."""
        document = asdict(self)
        found = document.pop("explanation")
        document["reasons"] = [] if found is None else list(found["reasons"])
        document["counterfactual"] = [] if found is None else list(found["counterfactual"])
        document["score_fidelity"] = None if found is None else found["fidelity"]
        return document


def explain(workspace: Workspace, name: str, *, watch: Stopwatch | None = None) -> Why:
    """Explains an account or a cluster of the newest run, on the log as that run saw it.

    Raises:
        UsageError: there is no run, or neither an account nor a cluster of this name in it.
    """
    return explain_all(workspace, [name], watch=watch)[0]


def explain_all(workspace: Workspace, names: Sequence[str], *, watch: Stopwatch | None = None) -> list[Why]:
    """The same for several, in their order; the log is read once.

    Raises:
        UsageError: there is no run, or neither an account nor a cluster of one of these names in it.
    """
    run = load_run(workspace)
    clusters, accounts = set(run.clusters["cluster_id"]), set(run.scores["account_id"])
    for name in names:
        if name not in clusters and name not in accounts:
            raise UsageError(
                f"Run {run.record.run_id} has no account and no cluster {name}.",
                hint="See `ringwatch clusters list`, or run `ringwatch detect` again.",
            )
    with rehearse_run(workspace, run.record, watch=watch) as rehearsal:
        run_again = _Again(workspace, rehearsal, run)
        return [run_again.cluster(name) if name in clusters else run_again.account(name) for name in names]


@dataclass(frozen=True)
class _Again:
    """A run once more, with what its pairs weigh and what its model sees."""

    workspace: Workspace
    rehearsal: Rehearsal
    run: Run

    @cached_property
    def model(self) -> Model:
        return self.rehearsal.weigh()

    @cached_property
    def scorer(self) -> tuple[Scorer, View] | None:
        """What scored the run, and what it looks at; none without a model, or with one that cannot be asked."""
        used = self.run.record.model
        if not used or used not in self.workspace.current().models:
            return None
        scorer = load_model(self.workspace.models_dir / used)
        if "signed" in scorer.card.shares:
            return None
        seen = prepare(self.rehearsal, self.model)
        return scorer, scorer.still(scorer.view(seen.graph, seen.labels))

    def cluster(self, name: str) -> Why:
        ids, run = self.rehearsal.gathered.accounts.ids, self.run
        members = run.members.loc[run.members["cluster_id"] == name, "account_id"].to_numpy(dtype=object)
        ties = counterfactual.cluster_ties(self.model, np.sort(np.searchsorted(ids, members)))
        rows, broken, left, fidelity = _held(self.rehearsal, ties)
        score = float(run.clusters.loc[run.clusters["cluster_id"] == name, "score"].iloc[0])
        said = f"{name} has {len(members)} accounts and a score of {score:.3f}."
        if rows:
            said += " It is held together by " + ", ".join(_called(one) for one in rows[:3]) + "."
        if broken:
            said += f" Without {_listed(broken)} it falls apart: {left:.0%} of its members would still hang together."
        else:
            said += f" No {counterfactual.MOST_CUTS} entities hold it together; it would not fall apart without them."
        return Why(
            "cluster", name, run.record.run_id, run.record.model, score, said, _public(rows), _public(broken), left,
            fidelity, None,
        )  # fmt: skip

    def account(self, name: str) -> Why:
        run = self.run
        row = int(np.searchsorted(self.rehearsal.gathered.accounts.ids, name))
        rows, broken, left, fidelity = _held(self.rehearsal, counterfactual.account_ties(self.model, row))
        score = float(run.scores.loc[run.scores["account_id"] == name, "score"].iloc[0])
        called = [_called(one) for one in rows[:3]]
        found = None
        if self.scorer is not None:
            found = explain_account(*self.scorer, row, seed=run.record.seed)
            said = sentence(name, found, called) + also_counted(score, found.probability)
        else:
            said = f"{name} has a score of {score:.3f}, from the evidence alone."
            said += f" It is tied by {', '.join(called)}." if called else " Nothing ties it to another account."
        return Why(
            "account", name, run.record.run_id, run.record.model, score, said, _public(rows), _public(broken), left,
            fidelity, found,
        )  # fmt: skip


def also_counted(score: float, probability: float) -> str:
    """What makes an account's score another number than the probability that is explained, where it is another."""
    if abs(score - probability) < LEAST_GAP:
        return ""
    return f" Its score is {score:.1%}: what reviewers said of it, and how common abuse is now, count there as well."


def _held(
    rehearsal: Rehearsal, ties: Ties
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], float, dict[str, float]]:
    """The entities that matter most to ties, those without which they break, what hangs together then; fidelity."""
    ranked = counterfactual.worth(ties)
    cut, left = counterfactual.breaking(ties, ranked)
    rows = _entities(rehearsal, ties, ranked)
    broken = [one for part in cut for one in rows if (one["layer"], one["code"]) == part]
    return rows, broken, left, counterfactual.fidelity(ties, ranked, top=TOP, seed=rehearsal.seed)


def _entities(rehearsal: Rehearsal, ties: Ties, ranked: list[tuple[Part, float]]) -> list[dict[str, Any]]:
    """The entities that matter most, with what they are called."""
    top = [(part, value) for part, value in ranked if value > 0][:SHOWN]
    texts = {layer.name: layer for layer in ties.model.shared}
    accounts = []
    for (layer, entity), _ in top:
        one = texts[layer]
        at = one.pair[one.entity == entity]
        accounts.append(len(np.unique(np.r_[ties.model.first[at], ties.model.second[at]])))
    layers, entities = ([part[place] for part, _ in top] for place in (0, 1))
    tokens = tokens_of(
        rehearsal.con, pd.Series(layers, dtype=object), pd.Series(entities, dtype=np.int64),
        rehearsal.gathered.accounts, rehearsal.gathered.shared,
    )  # fmt: skip
    return [
        {
            "layer": part[0], "code": part[1], "text": texts[part[0]].text, "entity": token, "accounts": count,
            "bits": round(value / max(len(ties.model), 1), 3),
        }
        for (part, value), token, count in zip(top, tokens.tolist(), accounts, strict=True)
    ]  # fmt: skip


def _public(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "code"} for row in rows]


def _called(row: dict[str, Any]) -> str:
    return f"{row['text']} of {row['accounts']} accounts ({row['bits']:+.1f} bits)"


def _listed(rows: list[dict[str, Any]]) -> str:
    """Like: these 2 payment instruments and this device."""
    counts: dict[str, int] = {}
    for row in rows:
        kind = str(row["layer"]).replace("_", " ")
        counts[kind] = counts.get(kind, 0) + 1
    return " and ".join(f"these {n} of layer {kind}" if n > 1 else f"this {kind}" for kind, n in counts.items())
