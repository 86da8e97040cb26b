"""The graph of the contract (section 2), named in one place: node tables, edge tables, their columns and types.

Both stores build their schema from these tables, and every frame that enters or leaves a store has these columns.
A node frame has the key and any subset of the columns; an edge frame has `src`, `dst` (keys of its end nodes), the
discriminating columns where there are any, and any subset of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ColumnType = Literal["string", "int", "float", "bool", "time", "strings"]

SCHEMA_VERSION = 1

_SEEN: dict[str, ColumnType] = {"count": "int", "first_seen": "time", "last_seen": "time"}


@dataclass(frozen=True)
class NodeTable:
    """A node label, the property that identifies a node, and the other properties.

    `evidence` is false for what a run inferred, `inferred` names such properties of a label that is evidence: both
    are left out of the graph digest.
    """

    label: str
    key: str
    columns: dict[str, ColumnType] = field(default_factory=dict)
    evidence: bool = True
    inferred: tuple[str, ...] = ()


@dataclass(frozen=True)
class EdgeTable:
    """An edge type between two labels. `key` names the properties that, with the ends, identify an edge."""

    type: str
    src: str
    dst: str
    columns: dict[str, ColumnType] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    evidence: bool = True


NODES: dict[str, NodeTable] = {
    table.label: table
    for table in (
        NodeTable(
            "Account",
            "id",
            {
                "created_at": "time", "status": "string", "country": "string", "plan": "string",
                "label": "string", "events": "int", "harm_rate": "float", "refused_rate": "float",
                "score": "float",
            },
            inferred=("score",),
        ),
        NodeTable("Organization", "id"),
        NodeTable("Ip", "token", {"kind": "string"}),
        NodeTable("Network", "cidr"),
        NodeTable("Device", "token", {"kind": "string"}),
        NodeTable("PaymentInstrument", "token", {"kind": "string"}),
        NodeTable("Phone", "token", {"kind": "string"}),
        NodeTable("UserAgent", "token", {"kind": "string", "family": "string"}),
        NodeTable("Email", "token", {"kind": "string"}),
        NodeTable("EmailDomain", "domain", {"disposable": "bool"}),
        NodeTable("Entity", "token", {"type": "string", "kind": "string"}),
        NodeTable("PromptFamily", "id", {"accounts": "int", "prompts": "int", "harm_rate": "float"}, evidence=False),
        NodeTable("ToolChain", "id", {"accounts": "int", "tools": "string"}, evidence=False),
        NodeTable(
            "Run",
            "id",
            {"created_at": "time", "as_of": "time", "seed": "int", "labels": "bool", "digest": "string"},
            evidence=False,
        ),
        NodeTable(
            "Cluster",
            "id",
            {
                "score": "float", "bits": "float", "abuse": "float", "size": "int", "status": "string",
                "layers": "strings", "first_seen": "time", "last_seen": "time",
            },
            evidence=False,
        ),
        NodeTable("Syndicate", "id", {"score": "float", "bits": "float"}, evidence=False),
    )
}  # fmt: skip

EDGES: dict[str, EdgeTable] = {
    table.type: table
    for table in (
        EdgeTable("MEMBER_OF", "Account", "Organization", _SEEN),
        EdgeTable("USED_IP", "Account", "Ip", _SEEN),
        EdgeTable("IN_NETWORK", "Ip", "Network"),
        EdgeTable("USED_DEVICE", "Account", "Device", _SEEN),
        EdgeTable("PAID_WITH", "Account", "PaymentInstrument", _SEEN),
        EdgeTable("HAS_PHONE", "Account", "Phone", _SEEN),
        EdgeTable("USED_AGENT", "Account", "UserAgent", _SEEN),
        EdgeTable("HAS_EMAIL", "Account", "Email", _SEEN),
        EdgeTable("AT_DOMAIN", "Email", "EmailDomain"),
        EdgeTable("LINKED_TO", "Account", "Entity", _SEEN),
        EdgeTable("REFERRED", "Account", "Account", {**_SEEN, "amount": "float"}),
        EdgeTable("TRANSFERRED_TO", "Account", "Account", {**_SEEN, "amount": "float"}),
        EdgeTable("INVITED", "Account", "Account", {**_SEEN, "amount": "float"}),
        EdgeTable("FOLLOWED", "Account", "Account", {**_SEEN, "amount": "float"}),
        EdgeTable("MESSAGED", "Account", "Account", {**_SEEN, "amount": "float"}),
        EdgeTable("RELATED", "Account", "Account", {"kind": "string", **_SEEN, "amount": "float"}, key=("kind",)),
        EdgeTable("SENT", "Account", "PromptFamily", _SEEN, evidence=False),
        EdgeTable("SIMILAR_TO", "PromptFamily", "PromptFamily", {"score": "float"}, evidence=False),
        EdgeTable("RAN", "Account", "ToolChain", _SEEN, evidence=False),
        EdgeTable("PROMPT_SIMILAR", "Account", "Account", {"score": "float", "families": "int"}, evidence=False),
        EdgeTable(
            "COORDINATED_WITH",
            "Account",
            "Account",
            {"run_id": "string", "bits": "float", "layers": "strings"},
            key=("run_id",),
            evidence=False,
        ),
        EdgeTable(
            "IN_CLUSTER",
            "Account",
            "Cluster",
            {"run_id": "string", "membership": "float"},
            key=("run_id",),
            evidence=False,
        ),
        EdgeTable("OF_RUN", "Cluster", "Run", evidence=False),
        EdgeTable("PART_OF", "Cluster", "Syndicate", evidence=False),
    )
}

TABLES: dict[str, NodeTable | EdgeTable] = {**NODES, **EDGES}
"""All of them; no label is called as an edge type is."""

ENTITY_NODES: dict[str, tuple[str, str]] = {
    "ip": ("Ip", "USED_IP"),
    "device": ("Device", "USED_DEVICE"),
    "payment": ("PaymentInstrument", "PAID_WITH"),
    "phone": ("Phone", "HAS_PHONE"),
    "user_agent": ("UserAgent", "USED_AGENT"),
    "email": ("Email", "HAS_EMAIL"),
}
"""Entity type → (node label, edge type). A declared type is an `Entity` by `LINKED_TO`."""

RELATION_EDGES: dict[str, str] = {
    "referral": "REFERRED",
    "transfer": "TRANSFERRED_TO",
    "invite": "INVITED",
    "follow": "FOLLOWED",
    "message": "MESSAGED",
}
"""Relation kind → edge type. A declared kind is `RELATED {kind}`."""
