"""The notebook's door to a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx
import pandas as pd

from ringwatch import pipeline, queries
from ringwatch.export import NOT_MALICIOUS, records
from ringwatch.export.pictures import Picture, network, timeline, waterfall
from ringwatch.graphs import Cluster, to_networkx
from ringwatch.pipeline import Dossier, Run
from ringwatch.queries import Answer, Bounds
from ringwatch.review import anonymity_of
from ringwatch.workspace import Workspace

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

_DRAWN = 150
"""Nodes of a picture: beyond, it is a blot."""


def open_notebook(root: str | Path) -> Notebook:
    """The workspace in a folder.

    Raises:
        UsageError: there is none.
    """
    return Notebook(Workspace.open(Path(root)))


class Notebook:
    """A workspace: what the newest run found, and questions to the graph.

    Everything is read when it is asked for, as last committed; `refresh` forgets what was kept of the run.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def refresh(self) -> None:
        """Looks for a newer run."""
        self.__dict__.pop("run", None)

    @cached_property
    def run(self) -> Run:
        """The newest run with all its frames.

        Raises:
            UsageError: there is no run yet.
        """
        return pipeline.load_run(self.workspace)

    @property
    def clusters(self) -> pd.DataFrame:
        """Clusters of the newest run, the highest score first."""
        return self.run.clusters.copy()

    @property
    def organizations(self) -> pd.DataFrame:
        """Inferred organizations of the newest run, the highest score first."""
        return self.run.organizations.copy()

    @property
    def questions(self) -> pd.DataFrame:
        """The library: name, group, what it answers, what it takes."""
        rows = [(q.name, q.group, q.question, [p.name for p in q.parameters]) for q in queries.library().values()]
        return pd.DataFrame(rows, columns=["name", "group", "question", "parameters"])

    def cluster(self, cluster_id: str) -> ClusterView:
        """A cluster with its evidence, members, graph and pictures.

        Raises:
            UsageError: the run has no such cluster.
        """
        return ClusterView(pipeline.load_cluster(self.workspace, cluster_id, self.run))

    def account(self, account_id: str) -> AccountView:
        """All that is known of an account.

        Raises:
            UsageError: there is no such account.
        """
        return AccountView(pipeline.load_account(self.workspace, account_id))

    def hetero_data(self, *, as_of: datetime | None = None) -> HeteroData:
        """What `train` learns from, known at a moment (now, without one), as an object of PyTorch Geometric.

        Raises:
            UsageError: torch or torch-geometric is not installed.
        """
        return pipeline.hetero_data(self.workspace, as_of=as_of)

    def query(self, name: str, *, limit: int = 1000, timeout: float = 30.0, **parameters: Any) -> pd.DataFrame:
        """Rows of a question of the library. `.attrs` says whether there are more (`truncated`), and how many were
        made from too few accounts (`withheld`).

        Raises:
            UsageError: there is no such question, or its parameters are wrong.
        """
        given = {
            key: pipeline.whole_token(self.workspace, value) if isinstance(value, str) else value
            for key, value in _bare(parameters).items()
        }
        rule = anonymity_of(self.workspace)
        with closing(pipeline.open_store(self.workspace)) as store:
            answer = queries.run(store, name, given, limit=limit, timeout=timeout, anonymity=rule)
        return _frame(answer)

    def cypher(self, statement: str, *, limit: int = 1000, timeout: float = 30.0, **parameters: Any) -> pd.DataFrame:
        """Rows of a statement that only reads, within the bounds of the console; `.attrs` as in `query`.

        Raises:
            PolicyError: the guard refuses it, or it takes too much.
            UsageError: it is no statement that the store understands.
        """
        bounds = Bounds(limit, timeout, self.workspace.config.memory_mb)
        with queries.Worker(partial(pipeline.open_store, self.workspace)) as worker:
            given, rule = _bare(parameters), anonymity_of(self.workspace)
            return _frame(worker.ask(statement, given, bounds=bounds, anonymity=rule))

    def __repr__(self) -> str:
        return f"<ringwatch {self.workspace.root}: {len(self.workspace.current().runs)} runs>"

    def _repr_html_(self) -> str:
        found = self.run
        record = found.record
        said = f"Run {escape(record.run_id)}: {len(found.clusters):,} clusters among {record.accounts:,} accounts"
        top = found.clusters.head(10)[["cluster_id", "size", "score", "bits", "abuse", "status", "layers"]]
        return f"<h4>{escape(str(self.workspace.root))}</h4><p>{said}.</p>{_table(top)}"


@dataclass(frozen=True)
class ClusterView:
    """A cluster: `cluster` is all that is known, the rest is ready to be looked at."""

    cluster: Cluster

    @property
    def members(self) -> pd.DataFrame:
        """account_id, membership, account_score."""
        return self.cluster.members

    @property
    def evidence(self) -> pd.DataFrame:
        """Reasons for, then those against: layer, bits, text, entity, accounts."""
        return pd.concat([self.cluster.evidence, self.cluster.counter_evidence], ignore_index=True)

    @property
    def graph(self) -> nx.Graph[str]:
        """Accounts and the entities that they share."""
        return to_networkx(self.cluster)

    def plot(self) -> Picture:
        """The graph: accounts, and what two or more of them share."""
        held = self.cluster.entities.groupby("token")["account_id"].nunique()
        shared = self.cluster.entities[self.cluster.entities["token"].isin(held[held > 1].index)]
        accounts = self.members["account_id"].head(_DRAWN).tolist()
        shared = shared[shared["account_id"].isin(accounts) & ~shared["token"].isin(self.members["account_id"])]
        kinds = shared.drop_duplicates("token").sort_values("token").head(_DRAWN)
        shared = shared[shared["token"].isin(kinds["token"])]
        ties = self.cluster.edges[self.cluster.edges["src"].isin(accounts) & self.cluster.edges["dst"].isin(accounts)]
        edges = [(a, b, float(bits)) for a, b, bits in zip(ties["src"], ties["dst"], ties["bits"], strict=True)]
        edges += [(a, token, 2.0) for a, token in zip(shared["account_id"], shared["token"], strict=True)]
        entities = list(zip(kinds["token"].tolist(), kinds["type"].tolist(), strict=True))
        return network(accounts, entities, edges, f"Cluster {self.cluster.cluster_id}")

    def waterfall(self) -> Picture:
        """The reasons, for and against, in bits."""
        return waterfall(records(self.evidence), "Evidence for and against, in bits")

    def timeline(self) -> Picture:
        """Events by day."""
        return timeline(self.cluster.timeline, "Events by day, harmful ones coloured")

    def __repr__(self) -> str:
        return f"<cluster {self.cluster.cluster_id}: {self.cluster.size} accounts, score {self.cluster.score:.3f}>"

    def _repr_html_(self) -> str:
        c = self.cluster
        abuse = "unknown" if c.abuse is None else f"{c.abuse:.2f}"
        said = (
            f"{c.size} accounts, score {c.score:.3f}, coordination {c.coordination:.3f} ({c.bits:+.1f} bits a pair)"
        )
        return (
            f"<h4>Cluster {escape(c.cluster_id)}</h4><p>{said}, abuse {abuse}, {escape(c.status)}.</p>"
            f"{self.waterfall().svg}{self.plot().svg}{self.timeline().svg}{_table(c.members.head(10))}"
            f"<p>{NOT_MALICIOUS}</p>"
        )


@dataclass(frozen=True)
class AccountView:
    """An account: `dossier` is all that is known."""

    dossier: Dossier

    @property
    def graph(self) -> nx.Graph[str]:
        """The account, those that the evidence ties it to (`bits`), and what it shares."""
        found = self.dossier
        graph: nx.Graph[str] = nx.Graph()
        graph.add_node(found.account_id, kind="account")
        for row in records(found.ties):
            graph.add_node(row["other_id"], kind="account")
            graph.add_edge(found.account_id, row["other_id"], bits=row["bits"])
        for row in records(found.shared[found.shared["accounts"] > 1]):
            graph.add_node(row["entity"], kind=row["type"])
            for account in (found.account_id, *row["others"]):
                graph.add_node(account, kind="account")
                graph.add_edge(account, row["entity"])
        return graph

    def timeline(self) -> Picture:
        """Events by day."""
        return timeline(self.dossier.timeline, "Events by day, harmful ones coloured")

    def __repr__(self) -> str:
        return f"<account {self.dossier.account_id}>"

    def _repr_html_(self) -> str:
        found = self.dossier
        facts = pd.DataFrame({"known": {key: str(value) for key, value in found.facts.items() if value is not None}})
        return (
            f"<h4>Account {escape(found.account_id)}</h4>{_table(facts, index=True)}{self.timeline().svg}"
            f"{_table(found.ties.head(10))}{_table(found.shared.head(10))}"
        )


def _bare(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Values of numpy and pandas, which fill a notebook, as the stores take them."""
    return {key: value.tolist() if hasattr(value, "tolist") else value for key, value in parameters.items()}


def _frame(answer: Answer) -> pd.DataFrame:
    frame = pd.DataFrame(answer.rows, columns=answer.columns)
    frame.attrs.update(truncated=answer.truncated, withheld=answer.withheld)
    return frame


def _table(frame: pd.DataFrame, *, index: bool = False) -> str:
    return str(frame.to_html(index=index, escape=True, border=0, na_rep="–"))
