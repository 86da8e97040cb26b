"""What `train` does as a whole: labels known at a moment become a committed model; and which model `detect` uses."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib import metadata
from typing import TYPE_CHECKING

import duckdb
import numpy as np
from scipy.special import expit

from ringwatch.clock import now
from ringwatch.gnn import (
    Card,
    Evidence,
    Graph,
    Labels,
    Scorer,
    Trained,
    build_graph,
    feature_blocks,
    fit_head,
    full_view,
    hetero,
    load_model,
    pu,
    read_labels,
    save_model,
    train,
    unsupervised,
)
from ringwatch.gnn.calibration import bands
from ringwatch.gnn.checkpoint import NO_CHECKPOINT, Checkpoint
from ringwatch.gnn.drift import Profile
from ringwatch.gnn.labels import ABUSIVE, UNKNOWN, digest
from ringwatch.gnn.thresholds import reliability, thresholds
from ringwatch.gnn.training import FEWEST
from ringwatch.graphs import Model
from ringwatch.metrics import Stopwatch
from ringwatch.pipeline.rehearsal import Rehearsal, rehearse
from ringwatch.pipeline.writing import writer
from ringwatch.workspace import Current, Workspace, fsync_path

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

INTENDED = "Ranking accounts and clusters for review. A takedown needs two people and the evidence for and against."
REACH = 0.02
"""A relation in which a smaller share of accounts takes part is no block of its own: the ties have its bits."""

LIMITS = (
    "Metrics are estimates from the labels that there are, held out by operation; with few they are rough.",
    "Labelled accounts stand for unlabelled ones of the same kind only as far as they were found in the same way.",
    "Operations that share nothing observable and do no visible harm are not found.",
)


@dataclass(frozen=True)
class TrainReport:
    """What `train` did. `why` says why the model was promoted or not."""

    card: Card
    promoted: bool
    why: str

    def document(self) -> dict[str, object]:
        """The JSON document of `ringwatch train --json`, without its schema."""
        card = asdict(self.card)
        del card["key"]
        return {
            **card,
            "promoted": self.promoted,
            "why": self.why,
            "metrics": self.card.metrics[self.card.winner],
            "baseline_metrics": self.card.baselines,
            "all_metrics": self.card.metrics,
        }


def hetero_data(workspace: Workspace, *, as_of: datetime | None = None, seed: int = 0) -> HeteroData:
    """What `train` would learn from at a moment, as an object of PyTorch Geometric (`gnn.hetero_data`).

    Raises:
        UsageError: torch or torch-geometric is not installed.
    """
    with rehearse(workspace, as_of=as_of, seed=seed) as rehearsal:
        seen = prepare(rehearsal)
    return hetero.hetero_data(seen.graph, seen.labels)


@dataclass(frozen=True)
class Prepared:
    """What a model sees at a moment."""

    evidence: Evidence
    graph: Graph
    labels: Labels


def prepare(rehearsal: Rehearsal, model: Model | None = None) -> Prepared:
    """The graph and the labels of the log as it was known; `model` has its pairs, where they are weighed already."""
    gathered, model = rehearsal.gathered, rehearsal.weigh() if model is None else model
    with rehearsal.watch.stage("evidence"):
        evidence = unsupervised(gathered, model, seed=rehearsal.seed)
    with rehearsal.watch.stage("features"):
        graph = build_graph(rehearsal.con, gathered, model, evidence)
        labels = read_labels(rehearsal.con, len(graph), evidence.cluster)
    return Prepared(evidence, graph, labels)


def train_model(
    workspace: Workspace,
    *,
    as_of: datetime | None = None,
    seed: int = 0,
    models: Sequence[str] | None = None,
    device: str = "cpu",
    wait: float = 10.0,
    watch: Stopwatch | None = None,
) -> TrainReport:
    """Trains on what was known at `as_of`, registers the model, and promotes it where it is the first or better.

    Raises:
        UsageError: too few labels, an unknown model, or torch is needed and missing.
        BusyError: another process writes for longer than `wait` seconds.
    """
    watch = watch or Stopwatch()
    with writer(workspace, wait=wait):
        current = workspace.current()
        key = _key(current, as_of, seed, models)
        with rehearse(workspace, as_of=as_of, seed=seed, watch=watch) as rehearsal:
            whole = prepare(rehearsal)
            seen = replace(whole, graph=whole.graph.common(REACH))
            until = known_until(rehearsal.con)
        with watch.stage("neighbours"):
            blocks = feature_blocks(seen.graph)
        kept = Checkpoint(workspace.training_dir / f"{_contents(seen)[:16]}-{key}")
        drop_training(workspace, but=kept)
        found = train(seen.graph, blocks, seen.labels, names=models, seed=seed, device=device, watch=watch, kept=kept)
        with watch.stage("register"):
            old = load_model(workspace.models_dir / current.promoted) if current.promoted else None
            if old and old.card.model_id == _name(key):
                promoted, why = True, "it is in use already, and learnt the same again"
            else:
                promoted, why = _better(found, whole, old)
            now_scored = expit(found.log_odds(full_view(seen.graph, blocks, seen.labels)))
            prevalence = float(now_scored.mean())
            card = _card(found, seen, key, as_of, until, seed, watch.seconds, prevalence)
            profile = Profile.made(seen.graph.names, seen.graph.features, now_scored)
            head = fit_head(seen.evidence, found.held_out, seen.labels)
            known = seen.graph.ids[seen.labels.label != UNKNOWN].tolist()
            folder = workspace.staging_dir / card.model_id
            save_model(folder, card, found.fitted, head, profile, known)
            for path in (*folder.iterdir(), folder):
                fsync_path(path)
            _commit(workspace, current, card.model_id, promoted=promoted)
        drop_training(workspace)
    return TrainReport(card, promoted, why)


def drop_training(workspace: Workspace, *, but: Checkpoint = NO_CHECKPOINT) -> None:
    """Removes what trainings that were cut short left, all of it or all but one's."""
    for place in workspace.training_dir.glob("*"):
        if place != but.folder:
            shutil.rmtree(place)


def _commit(workspace: Workspace, current: Current, model_id: str, *, promoted: bool) -> None:
    others = tuple(model for model in current.models if model != model_id)
    place = workspace.models_dir / model_id
    if place.exists():
        # The same model of another build: what was committed under its name goes first.
        workspace.commit(
            current.with_(models=others, promoted=None if current.promoted == model_id else current.promoted)
        )
        shutil.rmtree(place)
    (workspace.staging_dir / model_id).rename(place)
    fsync_path(workspace.models_dir)
    in_use = model_id if promoted or current.promoted == model_id else current.promoted
    workspace.commit(current.with_(models=(*others, model_id), promoted=in_use))


def _key(current: Current, as_of: datetime | None, seed: int, models: Sequence[str] | None) -> str:
    parts = [metadata.version("ringwatch"), current.token_key, *current.batches, str(as_of), str(seed), str(models)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _name(key: str) -> str:
    return f"m{key[:10]}"


def _better(found: Trained, seen: Prepared, old: Scorer | None) -> tuple[bool, str]:
    """Whether the new model takes the old one's place: on accounts whose label the old one did not see."""
    if old is None:
        return True, "it is the first"
    label = seen.labels.label
    fresh = (label != UNKNOWN) & ~np.isin(seen.graph.ids.astype(str), np.array(sorted(old.labelled), dtype=str))
    units = np.unique(seen.labels.unit[fresh & (label == ABUSIVE)])
    if (fresh & (label == ABUSIVE)).sum() < FEWEST or len(units) < 2:
        return False, f"too few new labels to compare it with {old.card.model_id}; `models promote` decides otherwise"
    # Neither side is told of the new labels: the old model's neighbours show those that it learnt from.
    hidden = replace(seen.labels, label=np.where(fresh, UNKNOWN, label).astype(np.int8))
    before = old.log_odds(old.view(seen.graph, hidden))
    use = fresh | (label == UNKNOWN)
    ours, theirs = (pu.average_precision(z[use], label[use], found.prior) for z in (found.held_out, before))
    said = f"AUPRC {ours:.3f} beside {theirs:.3f} of {old.card.model_id} on labels that neither saw"
    return bool(ours > theirs), said


def _contents(seen: Prepared) -> str:
    """SHA-256 of features and labels."""
    found = hashlib.sha256(np.ascontiguousarray(seen.graph.features).tobytes())
    found.update(digest(seen.labels).encode())
    return found.hexdigest()


def _card(
    found: Trained, seen: Prepared, key: str, as_of: datetime | None, until: str | None, seed: int, seconds: float,
    prevalence: float,
) -> Card:  # fmt: skip
    chance = expit(found.held_out)
    rows, error = reliability(chance, seen.labels.label, found.prior)
    metrics = {name: dict(values) for name, values in found.metrics.items()}
    metrics[found.winner]["ece"] = round(error, 6)
    return Card(
        model_id=_name(key),
        key=key,
        winner=found.winner,
        shares=found.shares,
        calibration=asdict(found.calibration),
        metrics=metrics,
        thresholds=[one.document() for one in thresholds(chance)],
        reliability=rows,
        bands=[asdict(one) for one in bands(chance, seen.labels.label, found.prior)],
        prevalence=prevalence,
        labels=seen.labels.counts,
        prior=round(found.prior, 6),
        accounts=len(seen.graph),
        features=len(seen.graph.names),
        relations=[relation.name for relation in seen.graph.relations],
        folds=found.folds,
        seed=seed,
        as_of=as_of.isoformat() if as_of else None,
        known_until=until,
        created_at=now().isoformat(),
        version=metadata.version("ringwatch"),
        digest=_contents(seen),
        seconds=seconds,
        intended=INTENDED,
        limits=list(LIMITS),
    )


def known_until(con: duckdb.DuckDBPyConnection) -> str | None:
    """The latest moment of anything in the attached views, labels included (ISO-8601); null where nothing has one."""
    found = con.execute(
        """SELECT max(moment) FROM (
               SELECT max(ts) AS moment FROM events UNION ALL SELECT max(labelled_at) FROM labels
               UNION ALL SELECT max(ts) FROM links UNION ALL SELECT max(ts) FROM relations
               UNION ALL SELECT max(coalesce(updated_at, created_at)) FROM accounts)"""
    ).fetchall()[0][0]
    return found.isoformat() if found is not None else None
