"""One small graph that every query of the library says something about.

A ring (a1 to a4) shares a card, a device, two IPs, a prompt family and a tool chain, and was referred by a1. A second
cluster (b1 to b3) shares one of its IPs with the ring. c1 is alone, behind a campus IP with a1 and b1, and of their
customer's organization, and uses the wallet of b2 and b3. Both clusters are parts of one inferred organization.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from ringwatch.graphs.schema import EDGES, NODES, ColumnType
from ringwatch.graphs.store.base import Changes

Rows = dict[str, list[dict[str, Any]]]

ARROW: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us", "UTC"),
    "strings": pa.list_(pa.string()),
}


def day(number: int) -> datetime:
    return datetime(2026, 3, number, 12, tzinfo=UTC)


def _account(name: str, created: int, label: str | None, harm: float | None, refused: float | None) -> dict[str, Any]:
    score = None if harm is None else harm / 2
    return {
        "id": name, "created_at": day(created), "status": "active", "country": "FR", "plan": "free", "label": label,
        "events": 10 * created, "harm_rate": harm, "refused_rate": refused, "score": score,
    }  # fmt: skip


def _seen(src: str, dst: str, first: int, last: int, count: int = 1, **more: Any) -> dict[str, Any]:
    return {"src": src, "dst": dst, "count": count, "first_seen": day(first), "last_seen": day(last), **more}


def _in_cluster(account: str, cluster: str, run: str, membership: float) -> dict[str, Any]:
    return {"src": account, "dst": cluster, "run_id": run, "membership": membership}


def _tie(src: str, dst: str, bits: float, layers: list[str], run: str = "run2") -> dict[str, Any]:
    return {"src": src, "dst": dst, "run_id": run, "bits": bits, "layers": layers}


NODE_ROWS: Rows = {
    "Account": [
        _account("a1", 1, "abusive", 0.5, 0.25),
        _account("a2", 2, None, 0.25, 0.125),
        _account("a3", 3, None, 0.0, 0.0),
        _account("a4", 9, None, None, None),
        _account("b1", 1, "benign", 0.0, 0.0),
        _account("b2", 2, None, 0.0, 0.0),
        _account("b3", 4, None, 0.0, 0.5),
        _account("c1", 5, None, 0.0, 0.0),
    ],
    "Organization": [{"id": "org1"}],
    "Ip": [
        {"token": "ip_01", "kind": None},
        {"token": "ip_02", "kind": None},
        {"token": "ip_03", "kind": "campus"},
    ],
    "Network": [{"cidr": "81.2.69/24"}, {"cidr": "2001:db8:1::/48"}],
    "Device": [{"token": "device_01", "kind": None}],
    "PaymentInstrument": [{"token": "payment_01", "kind": None}],
    "Phone": [{"token": "phone_01", "kind": None}],
    "UserAgent": [{"token": "user_agent_01", "kind": None, "family": "Chrome/Windows"}],
    "Email": [{"token": f"email_0{n}", "kind": None} for n in range(1, 5)],
    "EmailDomain": [
        {"domain": "throwaway.example", "disposable": True},
        {"domain": "mail.example", "disposable": False},
    ],
    "Entity": [{"token": "wallet_01", "type": "wallet", "kind": "exchange"}],
    "PromptFamily": [
        {"id": "p1", "accounts": 3, "prompts": 7, "harm_rate": 0.5},
        {"id": "p2", "accounts": 2, "prompts": 2, "harm_rate": None},
    ],
    "ToolChain": [
        {"id": "t1", "accounts": 3, "tools": "search>fetch>write"},
        {"id": "t2", "accounts": 1, "tools": "search"},
    ],
    "Run": [
        {"id": "run1", "created_at": day(8), "as_of": None, "seed": 0, "labels": True, "digest": "d1"},
        {"id": "run2", "created_at": day(10), "as_of": None, "seed": 0, "labels": True, "digest": "d2"},
    ],
    "Cluster": [
        {
            "id": "ring", "score": 0.9, "bits": 12.5, "abuse": 0.95, "size": 4, "status": "known",
            "layers": ["payment", "ip"], "first_seen": day(1), "last_seen": day(10),
        },
        {
            "id": "pair", "score": 0.1, "bits": 4.5, "abuse": None, "size": 3, "status": "new",
            "layers": ["ip"], "first_seen": day(1), "last_seen": day(9),
        },
    ],
    "Syndicate": [{"id": "s1", "score": 0.5, "bits": 3.0}],
}  # fmt: skip

EDGE_ROWS: Rows = {
    "MEMBER_OF": [_seen("c1", "org1", 5, 5), _seen("a1", "org1", 1, 1), _seen("b1", "org1", 1, 1)],
    "USED_IP": [
        _seen("a1", "ip_01", 1, 9, 5),
        _seen("a2", "ip_01", 2, 9, 4),
        _seen("a3", "ip_02", 3, 4, 3),
        _seen("a4", "ip_02", 9, 10, 2),
        _seen("b1", "ip_02", 1, 9, 1),
        _seen("b2", "ip_02", 2, 2, 1),
        _seen("a1", "ip_03", 2, 2, 1),
        _seen("b1", "ip_03", 3, 3, 8),
        _seen("c1", "ip_03", 5, 6, 9),
    ],
    "IN_NETWORK": [
        {"src": "ip_01", "dst": "81.2.69/24"},
        {"src": "ip_02", "dst": "81.2.69/24"},
        {"src": "ip_03", "dst": "2001:db8:1::/48"},
    ],
    "USED_DEVICE": [_seen("a1", "device_01", 1, 5, 2), _seen("a3", "device_01", 3, 9, 2)],
    "PAID_WITH": [
        _seen("a1", "payment_01", 1, 1),
        _seen("a2", "payment_01", 2, 2),
        _seen("a3", "payment_01", 3, 3, 2),
        _seen("a4", "payment_01", 9, 9),
    ],
    "HAS_PHONE": [_seen("b1", "phone_01", 1, 1), _seen("b3", "phone_01", 4, 4)],
    "USED_AGENT": [_seen("a1", "user_agent_01", 1, 9, 9), _seen("c1", "user_agent_01", 5, 6, 9)],
    "HAS_EMAIL": [
        _seen("a1", "email_01", 1, 1),
        _seen("a2", "email_02", 2, 2),
        _seen("a4", "email_03", 9, 9),
        _seen("b1", "email_04", 1, 1),
    ],
    "AT_DOMAIN": [
        {"src": "email_01", "dst": "throwaway.example"},
        {"src": "email_02", "dst": "throwaway.example"},
        {"src": "email_03", "dst": "mail.example"},
        {"src": "email_04", "dst": "mail.example"},
    ],
    "LINKED_TO": [
        _seen("b2", "wallet_01", 2, 2),
        _seen("b3", "wallet_01", 4, 9),
        _seen("c1", "wallet_01", 5, 6),
    ],
    "REFERRED": [
        _seen("a1", "a2", 2, 2, amount=None),
        _seen("a1", "a3", 3, 3, amount=None),
        _seen("a3", "a4", 9, 9, amount=None),
        _seen("a4", "a1", 9, 9, amount=None),
    ],
    "TRANSFERRED_TO": [_seen("a1", "a2", 4, 8, 3, amount=30.5), _seen("a2", "b1", 5, 5, amount=2.0)],
    "INVITED": [_seen("b1", "b2", 2, 2, amount=None)],
    "FOLLOWED": [_seen("c1", "a1", 5, 5, amount=None)],
    "MESSAGED": [_seen("b2", "b3", 4, 4, 2, amount=None)],
    "RELATED": [_seen("a1", "a4", 9, 9, kind="gift", amount=5.0)],
    "SENT": [
        _seen("a1", "p1", 1, 9, 4),
        _seen("a2", "p1", 2, 9, 2),
        _seen("a4", "p1", 9, 9, 1),
        _seen("b1", "p2", 1, 1, 1),
        _seen("c1", "p2", 5, 5, 1),
    ],
    "SIMILAR_TO": [{"src": "p1", "dst": "p2", "score": 0.5}],
    "RAN": [
        _seen("a1", "t1", 1, 9, 4),
        _seen("a2", "t1", 2, 9, 2),
        _seen("a3", "t1", 3, 3, 1),
        _seen("b1", "t2", 1, 1, 1),
    ],
    "PROMPT_SIMILAR": [{"src": "a1", "dst": "a2", "score": 0.75, "families": 1}],
    "COORDINATED_WITH": [
        _tie("a1", "a2", 14.5, ["payment", "ip"]),
        _tie("a1", "a3", 13.5, ["payment", "device"]),
        _tie("a3", "a4", 12.5, ["payment", "ip"]),
        _tie("b1", "b2", 4.5, ["ip"]),
        _tie("b1", "b3", 4.5, ["phone"]),
        _tie("a1", "a2", 11.5, ["payment"], run="run1"),
    ],
    "IN_CLUSTER": [
        _in_cluster("a1", "ring", "run1", 0.5),
        _in_cluster("a2", "ring", "run1", 0.5),
        _in_cluster("a3", "ring", "run1", 0.5),
        _in_cluster("a1", "ring", "run2", 1.0),
        _in_cluster("a2", "ring", "run2", 0.75),
        _in_cluster("a3", "ring", "run2", 0.75),
        _in_cluster("a4", "ring", "run2", 0.5),
        _in_cluster("b1", "pair", "run2", 0.5),
        _in_cluster("b2", "pair", "run2", 0.5),
        _in_cluster("b3", "pair", "run2", 0.5),
    ],
    "OF_RUN": [
        {"src": "ring", "dst": "run1"},
        {"src": "ring", "dst": "run2"},
        {"src": "pair", "dst": "run2"},
    ],
    "PART_OF": [{"src": "ring", "dst": "s1"}, {"src": "pair", "dst": "s1"}],
}


def _table(rows: list[dict[str, Any]], keys: tuple[str, ...], columns: dict[str, ColumnType]) -> pa.Table:
    fields = [*((key, pa.string()) for key in keys), *((name, ARROW[kind]) for name, kind in columns.items())]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def small_graph() -> Changes:
    """The graph as a store writes it."""
    return Changes(
        nodes={label: _table(rows, (NODES[label].key,), NODES[label].columns) for label, rows in NODE_ROWS.items()},
        edges={name: _table(rows, ("src", "dst"), EDGES[name].columns) for name, rows in EDGE_ROWS.items()},
    )
