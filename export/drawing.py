"""What is drawn of a cluster, for pages of any sort: which nodes and ties and where, and reasons as steps."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ringwatch.export.layout import layout
from ringwatch.export.packet import Packet
from ringwatch.graphs.clusters import ABUSE_LAYERS

STRONGEST = 3
"""Ties that are drawn of each account, its strongest; all of them would be a blot."""

_USE_WEIGHT = 4.0
"""How much a use pulls, in bits: it has none of its own."""


@dataclass(frozen=True)
class Drawing:
    """`nodes`: id, kind ("account", or an entity's type), x, y in the unit square; accounts first. `edges`: a, b
    (places of nodes), type, bits (null for uses), layers, count."""

    nodes: pd.DataFrame
    edges: pd.DataFrame


def draw(packet: Packet, members: Collection[str]) -> Drawing:
    """The members of a cluster, the strongest ties of each and what they share, laid out."""
    edges = packet.edges[packet.edges["src"].isin(members)]
    ties = edges[edges["type"] == "COORDINATED_WITH"]
    ties = ties[ties["dst"].isin(members)].sort_values(
        ["bits", "src", "dst"], ascending=[False, True, True], ignore_index=True
    )
    # Which of its account's ties each end is, by strength: rows are in that order.
    ends_of = pd.concat([ties["src"], ties["dst"]]).sort_index(kind="stable")
    rank = ends_of.groupby(ends_of).cumcount()
    ties = ties[rank.groupby(level=0).min() < STRONGEST]
    uses = edges[edges["type"] != "COORDINATED_WITH"]
    drawn = pd.concat([ties, uses], ignore_index=True)
    names = [*sorted(members), *sorted(set(uses["dst"]))]
    number = {name: place for place, name in enumerate(names)}
    drawn = drawn.assign(a=drawn["src"].map(number), b=drawn["dst"].map(number))
    ends = drawn[["a", "b"]].to_numpy(dtype=np.int64).reshape(-1, 2)
    weight = drawn["bits"].astype("float64").fillna(_USE_WEIGHT).to_numpy(dtype=np.float64)
    places = layout(len(names), ends, weight)
    kinds = packet.nodes.set_index("id")["kind"]
    kind = ["account"] * len(members) + [str(kinds[name]) for name in names[len(members) :]]
    nodes = pd.DataFrame({"id": names, "kind": kind, "x": places[:, 0], "y": places[:, 1]})
    return Drawing(nodes, drawn[["a", "b", "type", "bits", "layers", "count"]])


@dataclass(frozen=True)
class Waterfall:
    """A question, its reasons from the strongest for to the strongest against, and where the sum stands before the
    first and after each, in bits."""

    question: str
    reasons: list[dict[str, Any]]
    sums: list[float]

    @property
    def low(self) -> float:
        return min(self.sums)

    @property
    def high(self) -> float:
        return max(self.sums)


_BITS = re.compile(r" \([+\-−][0-9.]+ bits[^()]*\)(?=\.?$)")


def without_bits(sentence: str) -> str:
    """The sentence of a reason for where its bits stand beside it."""
    return _BITS.sub("", sentence)


def waterfalls(reasons: Sequence[dict[str, Any]]) -> list[Waterfall]:
    """The reasons that answer whether it is one operation, and those that answer whether it is abuse."""
    found = []
    for question, abuse in (("One operation?", False), ("Abuse?", True)):
        some = [one for one in reasons if (one["layer"] in ABUSE_LAYERS) == abuse]
        if some:
            some.sort(key=lambda one: -one["bits"])
            sums = np.cumsum([0.0, *(one["bits"] for one in some)])
            found.append(Waterfall(question, some, [float(one) for one in sums]))
    return found
