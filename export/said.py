"""What is said of a cluster beside its reasons, at every door the same: what members share, where it comes from, how
far abuse is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ringwatch.export.json_format import records
from ringwatch.graphs import Cluster

NOT_MALICIOUS = "Coordinated is not malicious: a class, a company or a family is one operation too."

_SEALED = r"[a-z][a-z0-9_]*_[0-9a-f]{32}\Z"


def shared_things(cluster: Cluster) -> pd.DataFrame:
    """What members share, by how many of them: type, token, accounts, uses, last_seen, sealed (the token by which the
    vault knows the original; null where there is none: networks, domains, moments)."""
    held = (
        cluster.entities.groupby(["type", "token"], sort=True)
        .agg(accounts=("account_id", "nunique"), uses=("count", "sum"), last_seen=("last_seen", "max"))
        .reset_index()
    )
    held = held.sort_values(["accounts", "type", "token"], ascending=[False, True, True], ignore_index=True)
    token = held["token"].astype("object")
    family = held["type"] == "prompt_family"
    # A family is named after one of its texts, which is its exemplar.
    exemplar = "prompt_" + token.str.removeprefix("p")
    return held.assign(sealed=token.where(token.str.match(_SEALED), None).mask(family, exemplar))


def days_seen(cluster: Mapping[str, Any]) -> str:
    """From the day of its first event to that of its last; empty where neither is known."""
    return " to ".join(cluster[end][:10] for end in ("first_seen", "last_seen") if cluster[end])


def abuse_in_words(abuse: float | None) -> str:
    """The probability of abuse, or that nothing is known of it."""
    return "unknown: the data says nothing of harm" if abuse is None else f"{abuse:.2f}"


def came_from(cluster: Cluster) -> str:
    """What the cluster was in the run before, in a line."""
    said = []
    for row in records(cluster.lineage):
        name, kind = row["from_cluster_id"], row["kind"]
        if name is None:
            return "new in this run"
        joined, left = row["size"] - row["shared"], row["before"] - row["shared"]
        if kind == "returned" and not row["shared"]:
            said.append(f"returned: the operator of {name} ({row['before']} accounts) is back with other accounts")
        elif kind in ("merged", "split"):
            said.append(f"{kind} from {name} ({row['shared']} of its {row['before']} accounts)")
        else:
            said.append(f"{kind}: {row['before']} → {row['size']} accounts, {joined} joined, {left} left")
    return "; ".join(said) or "unknown"
