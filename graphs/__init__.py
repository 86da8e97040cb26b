"""The event log comes in as views; evidence in bits, communities and clusters with their reasons go out as frames,
and as changes for a store. `detect` is the whole way; its stages are functions of tables, and each can be called
alone. Stores are in `ringwatch.graphs.store`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringwatch.doors import door

if TYPE_CHECKING:
    from ringwatch.graphs.accounts import AccountTable, collect_accounts
    from ringwatch.graphs.communities import find_communities
    from ringwatch.graphs.comparison import build_model
    from ringwatch.graphs.detection import Detection, Gathered, Judgement, detect, gather, weigh
    from ringwatch.graphs.evidence import Model
    from ringwatch.graphs.findings import Cluster, Organization, to_networkx
    from ringwatch.graphs.layers import Incidence, LayerSpec
    from ringwatch.graphs.pairs import candidate_pairs
    from ringwatch.graphs.projection import evidence_changes
else:
    __getattr__ = door(__name__)

__all__ = [
    "AccountTable",
    "Cluster",
    "Detection",
    "Gathered",
    "Incidence",
    "Judgement",
    "LayerSpec",
    "Model",
    "Organization",
    "build_model",
    "candidate_pairs",
    "collect_accounts",
    "detect",
    "evidence_changes",
    "find_communities",
    "gather",
    "to_networkx",
    "weigh",
]
