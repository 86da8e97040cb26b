"""What a run tells a store: families, chains, similar accounts, the run, its clusters and the pairs it ties."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from ringwatch.graphs.accounts import AccountTable
from ringwatch.graphs.clusters import Found
from ringwatch.graphs.content import Families
from ringwatch.graphs.evidence import Model
from ringwatch.graphs.layers import PROMPT_FAMILY
from ringwatch.graphs.ordered import places
from ringwatch.graphs.resolve import family_ids
from ringwatch.graphs.schema import EDGES, NODES, ColumnType
from ringwatch.graphs.store.base import Changes
from ringwatch.graphs.syndicates import Syndicates

SIMILAR_ACCOUNTS = 5
"""`PROMPT_SIMILAR` keeps a pair that is among the strongest so many of either account."""

_ARROW: dict[ColumnType, pa.DataType] = {
    "string": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(),
    "time": pa.timestamp("us", "UTC"), "strings": pa.list_(pa.string()),
}  # fmt: skip


@dataclass(frozen=True)
class RunNode:
    """What the node of a run says."""

    run_id: str
    created_at: datetime
    as_of: datetime | None
    seed: int
    labels: bool


@dataclass(frozen=True)
class Content:
    """The families of a run."""

    prompts: Families
    chains: Families


def store_changes(
    con: duckdb.DuckDBPyConnection,
    record: RunNode,
    accounts: AccountTable,
    found: Found,
    scores: pd.DataFrame,
    model: Model,
    content: Content,
    syndicates: Syndicates,
) -> Changes:
    """Frames by label and edge type with the columns of `graphs.schema`. What a run infers replaces what one before
    it inferred of families and similarity; runs, clusters and their edges stay until their run is dropped.

    The node of the run has no digest: that is over what the caller writes.
    """
    run_id = record.run_id
    clusters = found.clusters
    nodes = {
        "Account": pd.DataFrame({"id": scores["account_id"], "score": scores["score"]}),
        "PromptFamily": _family_nodes(con, content.prompts, accounts),
        "ToolChain": _chain_nodes(content.chains),
        "Run": pd.DataFrame(
            {
                "id": [run_id], "created_at": [pd.Timestamp(record.created_at)],
                "as_of": [pd.NaT if record.as_of is None else pd.Timestamp(record.as_of)],
                "seed": [record.seed], "labels": [record.labels],
            }
        ),
        "Cluster": clusters.rename(columns={"cluster_id": "id"})[
            ["id", "score", "bits", "abuse", "size", "status", "layers", "first_seen", "last_seen"]
        ],
        "Syndicate": syndicates.organizations.rename(columns={"organization_id": "id"})[["id", "score", "bits"]],
    }  # fmt: skip
    members = found.members
    a, b, score = content.prompts.similar
    edges = {
        "SENT": _uses(content.prompts, accounts),
        "SIMILAR_TO": pd.DataFrame(
            {"src": family_ids("prompt_family", a), "dst": family_ids("prompt_family", b), "score": score.round(6)}
        ),
        "RAN": _uses(content.chains, accounts),
        "PROMPT_SIMILAR": _similar_accounts(model, content.prompts, accounts),
        "COORDINATED_WITH": found.edges.assign(run_id=run_id)[["src", "dst", "run_id", "bits", "layers"]],
        "IN_CLUSTER": pd.DataFrame(
            {
                "src": members["account_id"], "dst": members["cluster_id"], "run_id": run_id,
                "membership": members["membership"],
            }
        ),
        "OF_RUN": pd.DataFrame({"src": clusters["cluster_id"], "dst": run_id}),
        "PART_OF": syndicates.parts.rename(columns={"cluster_id": "src", "organization_id": "dst"})[["src", "dst"]],
    }  # fmt: skip
    return Changes(
        {
            label: _arrow(frame, {NODES[label].key: "string", **NODES[label].columns})
            for label, frame in nodes.items()
        },
        {
            name: _arrow(frame, {"src": "string", "dst": "string", **EDGES[name].columns})
            for name, frame in edges.items()
        },
        replace=("SENT", "SIMILAR_TO", "RAN", "PROMPT_SIMILAR", "PromptFamily", "ToolChain"),
    )


def _arrow(frame: pd.DataFrame, types: dict[str, ColumnType]) -> pa.Table:
    fields = [pa.field(name, _ARROW[types[name]]) for name in frame.columns]
    return pa.Table.from_pandas(frame, schema=pa.schema(fields), preserve_index=False)


def _times(micros: np.ndarray) -> pd.Series:
    return pd.Series(pd.to_datetime(micros, unit="us", utc=True))


def _uses(families: Families, accounts: AccountTable) -> pd.DataFrame:
    incidence = families.incidence
    names = family_ids(incidence.spec.name, incidence.code)
    return pd.DataFrame(
        {
            "src": accounts.ids[incidence.account], "dst": names[incidence.entity], "count": incidence.count,
            "first_seen": _times(incidence.first), "last_seen": _times(incidence.last),
        }
    )  # fmt: skip


def _family_nodes(con: duckdb.DuckDBPyConnection, families: Families, accounts: AccountTable) -> pd.DataFrame:
    """id, accounts, prompts (distinct ones), harm_rate (null without harm evidence)."""
    incidence = families.incidence
    members = pd.DataFrame({"prompt": families.members[0], "family": families.members[1]})
    con.register("family_members", members)
    try:
        rows = con.execute(
            """SELECT family, count(DISTINCT prompt) AS prompts, avg(harmful::INTEGER) AS harm_rate
               FROM ev JOIN family_members USING (prompt) GROUP BY 1 ORDER BY 1"""
        ).df()
    finally:
        con.unregister("family_members")
    rows = rows.set_index("family").reindex(incidence.code)
    harm = rows["harm_rate"].to_numpy(dtype=np.float64) if accounts.harm_known else np.full(len(rows), np.nan)
    return pd.DataFrame(
        {
            "id": family_ids(incidence.spec.name, incidence.code), "accounts": incidence.degree,
            "prompts": rows["prompts"].to_numpy(), "harm_rate": harm.round(6),
        }
    )  # fmt: skip


def _chain_nodes(families: Families) -> pd.DataFrame:
    incidence = families.incidence
    return pd.DataFrame(
        {
            "id": family_ids(incidence.spec.name, incidence.code), "accounts": incidence.degree,
            "tools": pd.Series(families.names, dtype="str"),
        }
    )  # fmt: skip


def _similar_accounts(model: Model, families: Families, accounts: AccountTable) -> pd.DataFrame:
    """The strongest few pairs of each account by the families that they share: score is their Jaccard similarity."""
    empty = pd.DataFrame(
        {
            "src": pd.Series(dtype="str"), "dst": pd.Series(dtype="str"),
            "score": np.zeros(0), "families": np.zeros(0, dtype=np.int64),
        }
    )  # fmt: skip
    layers = [layer for layer in model.shared if layer.name == PROMPT_FAMILY.name]
    if not layers or len(layers[0].pair) == 0:
        return empty
    layer = layers[0]
    first, second = model.first[layer.pair], model.second[layer.pair]
    owned = np.bincount(families.incidence.account, minlength=len(accounts))
    score = layer.count / np.maximum(owned[first] + owned[second] - layer.count, 1)
    keep = np.zeros(len(first), dtype=np.bool_)
    for end in (first, second):
        order = np.lexsort((np.arange(len(end)), -layer.rarity, end))
        keep[order[places(end[order]) < SIMILAR_ACCOUNTS]] = True
    return pd.DataFrame(
        {
            "src": accounts.ids[first[keep]], "dst": accounts.ids[second[keep]],
            "score": score[keep].round(6), "families": layer.count[keep],
        }
    )  # fmt: skip
