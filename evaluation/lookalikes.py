"""Benign look-alikes on the first page of results: which clusters are theirs, and which group it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ringwatch.evaluation.truth import Placed, Truth


@dataclass(frozen=True)
class Lookalike:
    """A cluster most of whose members are benign: its place in the list (1 is the first), members, benign members.

    `group_id` and `kind` are those of the benign group with the most members in it (`group_members`), as far as the
    truth knows benign groups.
    """

    cluster_id: str
    place: int
    size: int
    benign: int
    group_id: str | None
    kind: str | None
    group_members: int

    @property
    def of_one_group(self) -> bool:
        """Whether one benign group makes up most of the cluster."""
        return 2 * self.group_members > self.size

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"of_one_group": self.of_one_group}


def find_lookalikes(
    truth: Truth, placed: Placed, k: int, benign_groups: pd.DataFrame | None = None
) -> tuple[Lookalike, ...]:
    """The clusters among the first `k`, more than half of whose members are labelled benign.

    `benign_groups` has account_id, group_id and kind; without it, benign groups are those that the labels name.
    """
    first = np.flatnonzero(placed.listed)[:k]
    inside = ~truth.positive & (placed.cluster >= 0)
    benign = np.bincount(placed.cluster[inside], minlength=len(placed.size))
    group_id = pd.Series(truth.with_benign(benign_groups).group_id[inside])
    counts = group_id.groupby([placed.cluster[inside], group_id]).size()
    kinds = {} if benign_groups is None else dict(zip(benign_groups["group_id"], benign_groups["kind"], strict=True))
    found = []
    for place, cluster in enumerate(first.tolist(), start=1):
        if 2 * benign[cluster] <= placed.size[cluster]:
            continue
        name, members = None, 0
        if cluster in counts.index:
            name, members = str(counts[cluster].idxmax()), int(counts[cluster].max())
        found.append(
            Lookalike(
                str(placed.names[cluster]), place, int(placed.size[cluster]), int(benign[cluster]),
                name, kinds.get(name), members,
            )
        )  # fmt: skip
    return tuple(found)
