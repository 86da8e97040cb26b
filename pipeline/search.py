"""From what a person holds, an original, an id, a network, to the nodes of the graph."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ringwatch import ingest
from ringwatch.graphs.schema import ENTITY_NODES
from ringwatch.pipeline.stores import open_store
from ringwatch.workspace import Workspace

_NAMED = (
    ("account", "MATCH (x:Account {id: $key}) RETURN 1 AS accounts"),
    ("organization id", "MATCH (x:Organization {id: $key})<-[:MEMBER_OF]-(a:Account) RETURN count(*) AS accounts"),
    ("network", "MATCH (x:Network {cidr: $key})<-[:IN_NETWORK]-(:Ip)<-[:USED_IP]-(a:Account) "
                "RETURN count(DISTINCT a.id) AS accounts"),
    ("domain", "MATCH (x:EmailDomain {domain: $key})<-[:AT_DOMAIN]-(:Email)<-[:HAS_EMAIL]-(a:Account) "
               "RETURN count(DISTINCT a.id) AS accounts"),
)  # fmt: skip


@dataclass(frozen=True)
class Match:
    """A node of the graph: its type, its key, how many accounts have it, what is known of it, what it belongs to."""

    type: str
    key: str
    accounts: int
    kind: str | None = None
    parent: str | None = None

    def document(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "key": self.key,
            "accounts": self.accounts,
            "kind": self.kind,
            "parent": self.parent,
        }


def find(workspace: Workspace, value: str, types: tuple[str, ...] = (), *, wait: float = 10.0) -> list[Match]:
    """What the graph knows of a value: as an original, which becomes tokens first, and, unless types are named, as an
    account, a customer, a network or a domain.

    Raises:
        UsageError: a type is not declared.
        UnavailableError, PolicyError: as `open_store`.
    """
    with workspace.reading() as current:
        known = ingest.find_value(workspace, current, value, types)
    found: list[Match] = []
    with closing(open_store(workspace, wait=wait)) as store:
        for one in known:
            label, edge = ENTITY_NODES.get(one.type, ("Entity", "LINKED_TO"))
            rows = store.query(
                f"MATCH (x:{label} {{token: $key}}) OPTIONAL MATCH (x)<-[:{edge}]-(a:Account) "
                "RETURN x.kind AS kind, count(a.id) AS accounts",
                {"key": one.token},
            ).rows
            kind, accounts = rows[0] if rows else (None, 0)
            found.append(Match(one.type, one.token, accounts, kind, one.parent or one.label))
        for name, cypher in () if types else _NAMED:
            rows = store.query(cypher, {"key": value}).rows
            if rows and rows[0][0]:
                found.append(Match(name, value, rows[0][0]))
    return found


def whole_token(workspace: Workspace, text: str) -> str:
    """As `ingest.whole_token`, for the workspace as it is."""
    with workspace.reading() as current:
        return ingest.whole_token(workspace, current, text)
