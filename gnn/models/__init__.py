"""The ways to learn, by name. The first five need no torch; what any of them learnt is scored without it."""

from __future__ import annotations

from ringwatch.gnn.models.base import Fitted, Model
from ringwatch.gnn.models.linear import Belief, Logistic
from ringwatch.gnn.models.metapath import Metapath
from ringwatch.gnn.models.propagation import Propagation
from ringwatch.gnn.models.signed import Signed
from ringwatch.gnn.models.trees import GraphTrees, Trees

MODELS: dict[str, Model] = {
    model.name: model
    for model in (Logistic(), Trees(), Belief(), GraphTrees(), Propagation(), Metapath(), Metapath("nnpu"), Signed())
}

GRAPHLESS = ("logistic", "trees")
"""Those that look at no neighbour."""

PROPAGATION = Propagation.name

__all__ = ["GRAPHLESS", "MODELS", "PROPAGATION", "Fitted", "Model"]
