"""What a run gathered and the labels known at a moment come in; a trained, calibrated, explained model goes out.

Scores need numpy, scipy and xgboost; only training a neural network needs torch. Stages are functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringwatch.doors import door

if TYPE_CHECKING:
    from ringwatch.gnn.features import Evidence, build_graph, evidence_of, unsupervised
    from ringwatch.gnn.graph import Graph
    from ringwatch.gnn.heads import fit_head
    from ringwatch.gnn.hetero import hetero_data
    from ringwatch.gnn.labels import Labels, read_labels
    from ringwatch.gnn.models import MODELS
    from ringwatch.gnn.neighbours import feature_blocks
    from ringwatch.gnn.registry import Card, Scorer, load_model, read_card, save_model
    from ringwatch.gnn.task import full_view
    from ringwatch.gnn.training import Trained, train
else:
    __getattr__ = door(__name__)

__all__ = [
    "MODELS",
    "Card",
    "Evidence",
    "Graph",
    "Labels",
    "Scorer",
    "Trained",
    "build_graph",
    "evidence_of",
    "feature_blocks",
    "fit_head",
    "full_view",
    "hetero_data",
    "load_model",
    "read_card",
    "read_labels",
    "save_model",
    "train",
    "unsupervised",
]
