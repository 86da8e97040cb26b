"""What is kept of a model: a card in JSON, weights as safetensors, trees as XGBoost's JSON. Loading runs no code.

card.json          who won, of which parts, from what, how good all candidates were
head.*, NAME.*     weights by part
profile.parquet    deciles of every feature and of the score at training, to tell drift
labelled.parquet   accounts whose label was used
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ringwatch.errors import RingwatchError
from ringwatch.gnn.calibration import Band, Calibration
from ringwatch.gnn.drift import Profile
from ringwatch.gnn.graph import FloatArray, Graph
from ringwatch.gnn.heads import ClusterHead
from ringwatch.gnn.labels import Labels
from ringwatch.gnn.models import MODELS, Fitted
from ringwatch.gnn.models.base import load_arrays, save_arrays
from ringwatch.gnn.models.propagation import OPINIONS, FittedPropagation
from ringwatch.gnn.neighbours import feature_blocks
from ringwatch.gnn.task import View, full_view
from ringwatch.gnn.training import BASELINES, UNSUPERVISED, combine

CARD = "card.json"


@dataclass(frozen=True)
class Card:
    """A model in words and numbers.

    `winner`: the candidate that was taken; `shares`: its parts. `metrics`: by candidate. `as_of`, `known_until`: what
    it was trained on was known then (ISO-8601). `digest`: SHA-256 of features and labels. `prior`: estimated share of
    abusive accounts among the unlabelled; `prevalence`: among all, by the model's own scores. `bands`: intervals of
    its probabilities. `intended`, `limits`: what it is for, and what not.
    """

    model_id: str
    key: str
    winner: str
    shares: dict[str, float]
    calibration: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    thresholds: list[dict[str, Any]]
    reliability: list[dict[str, float]]
    bands: list[dict[str, float]]
    prevalence: float
    labels: dict[str, int]
    prior: float
    accounts: int
    features: int
    relations: list[str]
    folds: int
    seed: int
    as_of: str | None
    known_until: str | None
    created_at: str
    version: str
    digest: str
    seconds: float
    intended: str
    limits: list[str]

    @property
    def baselines(self) -> dict[str, dict[str, float]]:
        """Metrics of the `BASELINES`."""
        return {name: self.metrics[name] for name in BASELINES if name in self.metrics}

    @property
    def intervals(self) -> tuple[Band, ...]:
        """`bands` as they are asked."""
        return tuple(Band(**one) for one in self.bands)


@dataclass(frozen=True)
class Scorer:
    """A model ready to score: what `Trained` was, without what training needed."""

    card: Card
    fitted: dict[str, Fitted]
    head: ClusterHead
    profile: Profile
    labelled: frozenset[str]

    def view(self, graph: Graph, labels: Labels | None) -> View:
        """The blocks that its parts read, of the relations that it learnt from."""
        known = graph.only(self.card.relations)
        return full_view(known, feature_blocks(known), labels)

    def still(self, view: View) -> View:
        """The view with all that other accounts say as blocks, so that one account can be asked about alone."""
        if any(block.name == OPINIONS for block in view.blocks):
            return view
        for part in self.fitted.values():
            if isinstance(part, FittedPropagation):
                view = part.told(view)
        return view

    def log_odds(self, view: View) -> FloatArray:
        """Calibrated log odds (natural), an account's own label apart; float64[n]."""
        calibration = Calibration(**self.card.calibration)
        return calibration.apply(combine(view, self.card.shares, self.fitted))


def save_model(
    folder: Path, card: Card, fitted: dict[str, Fitted], head: ClusterHead, profile: Profile, labelled: Sequence[str]
) -> None:
    """Writes a model into a new folder."""
    folder.mkdir()
    for name, part in fitted.items():
        part.save(folder / name)
    save_arrays(folder / "head", {name: getattr(head, name) for name in ("mean", "spread", "weight")}, {})
    profile.table().to_parquet(folder / "profile.parquet", index=False)
    pd.DataFrame({"account_id": sorted(labelled)}, dtype="str").to_parquet(folder / "labelled.parquet", index=False)
    (folder / CARD).write_text(json.dumps(asdict(card), indent=1), encoding="utf-8")


def read_card(folder: Path) -> Card:
    """The card of a model.

    Raises:
        RingwatchError: it cannot be read.
    """
    try:
        document: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        return Card(**document)
    except (OSError, ValueError, TypeError) as error:
        raise RingwatchError(f"{folder / CARD} cannot be read: {error}.", hint="Train again.") from error


def load_model(folder: Path) -> Scorer:
    """A model as `save_model` wrote it.

    Raises:
        RingwatchError: a part is missing or damaged.
    """
    card = read_card(folder)
    unknown = [name for name in card.shares if name not in MODELS and name != UNSUPERVISED]
    if unknown:
        raise RingwatchError(
            f"{folder / CARD} names a part that this version does not know: {unknown[0]}.", hint="Train again."
        )
    fitted = {name: MODELS[name].load(folder / name) for name in card.shares if name != UNSUPERVISED}
    arrays, _ = load_arrays(folder / "head")
    try:
        profile = Profile.of(pd.read_parquet(folder / "profile.parquet"))
        labelled = frozenset(pd.read_parquet(folder / "labelled.parquet")["account_id"])
    except (OSError, ValueError, KeyError) as error:
        raise RingwatchError(f"{folder} cannot be read: {error}.", hint="Train again.") from error
    return Scorer(card, fitted, ClusterHead(**arrays), profile, labelled)
