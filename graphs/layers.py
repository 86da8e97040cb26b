"""The layers of evidence: what two accounts can have in common, each read from the log in one query.

A new layer is a `LayerSpec`, which has its sentence, and an `Incidence` among those that `graphs.detection.gather`
reads; candidate pairs, bits, EM, communities and the wording of evidence take it from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from ringwatch.graphs.accounts import BoolArray, FloatArray, IntArray

Column = npt.NDArray[Any]

KIND_FLOOR = {
    "vpn": 0.02, "hosting": 0.02, "cgnat": 0.02, "campus": 0.01, "company": 0.002, "exchange": 0.05,
    "service": 0.02, "shared_device": 0.005,
}  # fmt: skip
DECLARED_KIND_FLOOR = 0.01
"""The least share of all accounts that could stand behind an entity which is known to serve strangers, by its kind:
what we see of its users is a sample, so its own frequency here says too little."""

NETWORK_USERS = 4.0
"""How many users, of whom nothing is expected, weigh against those of an address's network."""


@dataclass(frozen=True)
class LayerSpec:
    """A layer: its name, the group of layers it is not independent of, and m, the chance that two accounts of one
    operator have it in common, before EM moves it. `text` finishes the sentence "N accounts share …". `refines` names
    the layer whose entities, at one moment, are its own. `event`: its entities are happenings, not things."""

    name: str
    group: str
    m: float
    text: str
    refines: str = ""
    event: bool = False


@dataclass(frozen=True)
class Refined:
    """Of a layer that refines another, by entity: `unit`, the first of those that refine one entity, with which it is
    judged; `users`, the accounts of that entity."""

    unit: IntArray
    users: IntArray


@dataclass(frozen=True)
class Incidence:
    """Who has what in one layer: parallel arrays of account index, dense entity code, count, first and last (µs).

    By entity: `code`, the log's 64-bit code (of a moment that of the entity which it refines); `floor`, the least u
    where strangers are known to share it (0: none); `expected`, how many accounts would be expected behind it, where
    something besides its own users tells (0: nothing does); `grade`, from 0, sorts entities that differ in how sure
    it is that they are one thing (none where all are of one sort).
    """

    spec: LayerSpec
    account: IntArray
    entity: IntArray
    count: IntArray
    first: FloatArray
    last: FloatArray
    code: IntArray
    floor: FloatArray
    expected: FloatArray
    refined: Refined | None = None
    grade: IntArray | None = None

    @property
    def degree(self) -> IntArray:
        """Accounts per entity."""
        return np.bincount(self.entity, minlength=len(self.code)).astype(np.int64)

    def holders(self, accounts: int) -> BoolArray:
        """Which accounts have anything in this layer."""
        has = np.zeros(accounts, dtype=np.bool_)
        has[self.account] = True
        return has


@dataclass(frozen=True)
class Relation:
    """Account–account records of one kind, summed by direction: parallel arrays of indexes and counts."""

    spec: LayerSpec
    src: IntArray
    dst: IntArray
    count: IntArray


ENTITY_LAYERS = {
    "ip": LayerSpec("ip", "network", 0.3, "an IP address"),
    "device": LayerSpec("device", "device", 0.4, "a device"),
    "payment": LayerSpec("payment", "payment", 0.4, "a payment instrument"),
    "email": LayerSpec("email", "email", 0.3, "an email address"),
    "phone": LayerSpec("phone", "phone", 0.3, "a phone number"),
    "user_agent": LayerSpec("user_agent", "device", 0.2, "a user agent"),
}
NETWORK = LayerSpec("network", "network", 0.3, "a network")
EMAIL_FAMILY = LayerSpec("email_family", "email", 0.3, "one email pattern")
ORGANIZATION = LayerSpec("organization", "organization", 0.3, "an organization id")
PROMPT_FAMILY = LayerSpec("prompt_family", "prompts", 0.4, "a family of near-duplicate prompts")
TOOL_CHAIN = LayerSpec("tool_chain", "tools", 0.4, "an agentic tool chain")
TOOL_TARGET = LayerSpec("tool_target", "tools", 0.4, "a target of tool calls")

RELATION_M = {"referral": 0.1, "transfer": 0.1, "invite": 0.1, "follow": 0.02, "message": 0.03}
TREE_KINDS = ("referral", "transfer", "invite")
"""Relations whose common source is evidence of its own: one referrer, one purse."""

PURSE_KINDS = ("transfer",)
"""Relations whose common target is evidence as well: what many accounts earn is swept into one purse."""

PARTNER_LAYERS = frozenset(
    {f"{kind}_{role}" for kind in TREE_KINDS for role in ("source", "root")}
    | {f"{kind}_target" for kind in PURSE_KINDS}
)
"""Names of the layers whose entities are accounts."""


def relation_layer(kind: str) -> LayerSpec:
    """The layer of a direct relation."""
    return LayerSpec(kind, kind, RELATION_M.get(kind, 0.05), f"a direct {kind}")


def declared_layer(entity_type: str) -> LayerSpec:
    """The layer of a declared entity type."""
    return LayerSpec(entity_type, entity_type, 0.3, f"a {entity_type.replace('_', ' ')}")


def incidence_from(spec: LayerSpec, rows: Mapping[str, Column], floors: dict[int, float] | None = None) -> Incidence:
    """Packs query columns i, entity, n, first, last into an `Incidence` with dense entity codes."""
    code, dense = np.unique(np.asarray(rows["entity"], dtype=np.int64), return_inverse=True)
    floor = np.zeros(len(code))
    if floors:
        known = np.fromiter(floors, dtype=np.int64, count=len(floors))
        at = np.searchsorted(code, known)
        hit = (at < len(code)) & (code[np.minimum(at, max(len(code) - 1, 0))] == known) if len(code) else at < 0
        floor[at[hit]] = np.fromiter(floors.values(), dtype=np.float64, count=len(floors))[hit]
    return Incidence(
        spec,
        np.asarray(rows["i"], dtype=np.int64),
        dense.astype(np.int64),
        np.asarray(rows["n"], dtype=np.int64),
        _times(rows["first"]),
        _times(rows["last"]),
        code,
        floor,
        np.zeros(len(code)),
    )


def _times(column: Column) -> FloatArray:
    return np.asarray(column, dtype=np.float64)


def query_columns(con: duckdb.DuckDBPyConnection, sql: str, parameters: list[str] | None = None) -> dict[str, Column]:
    """The columns of a query; nulls of a number are NaN."""
    found: dict[str, Column] = {}
    for name, value in con.execute(sql, parameters or []).fetchnumpy().items():
        if isinstance(value, np.ma.MaskedArray):
            found[name] = np.ma.filled(value.astype(np.float64), np.nan) if np.ma.is_masked(value) else value.data
        else:
            found[name] = np.asarray(value)
    return found


def collect_incidences(con: duckdb.DuckDBPyConnection, declared: tuple[str, ...]) -> list[Incidence]:
    """Every shared-entity layer that the log has rows for. Needs the tables `ix` and `ev` of `collect_accounts`."""
    floors = _floors(con)
    found = []
    for entity_type, spec in ENTITY_LAYERS.items():
        rows = query_columns(con, _entity_sql(entity_type))
        incidence = incidence_from(spec, rows, floors.get(entity_type))
        found.append(_within_networks(con, incidence) if entity_type == "ip" else incidence)
    for entity_type in declared:
        if entity_type not in ENTITY_LAYERS:
            rows = query_columns(con, _links_sql(entity_type) + " ORDER BY 1, 2")
            found.append(incidence_from(declared_layer(entity_type), rows, floors.get(entity_type)))
    found.append(wider_incidence(con, NETWORK, "ip", code_of("parent")))
    found.append(wider_incidence(con, EMAIL_FAMILY, "email", "family"))
    rows = query_columns(
        con,
        f"""SELECT i, {code_of("org_id")} AS entity, 1 AS n,
                  epoch_us(created_at) AS first, epoch_us(created_at) AS last
           FROM accounts JOIN ix USING (account_id) WHERE org_id IS NOT NULL ORDER BY 1, 2""",
    )
    found.append(incidence_from(ORGANIZATION, rows))
    return [incidence for incidence in found if len(incidence.account)]


def wider_incidence(con: duckdb.DuckDBPyConnection, spec: LayerSpec, entity_type: str, wider: str) -> Incidence:
    """Who has what in a layer whose entities hold those of `entity_type`: networks hold addresses, domains mailboxes.

    `wider` is an SQL expression over `tokens` for the code of what holds an entity, null for none. Needs `ix`, `ev`.
    """
    rows = query_columns(
        con,
        f"""SELECT i, wider AS entity, sum(n)::BIGINT AS n, min(first) AS first, max(last) AS last
            FROM ({_entity_sql(entity_type)}) JOIN (
                SELECT entity, {wider} AS wider FROM tokens WHERE entity_type = '{entity_type}'
            ) USING (entity) WHERE wider IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2""",
    )
    return incidence_from(spec, rows)


def _within_networks(con: duckdb.DuckDBPyConnection, addresses: Incidence) -> Incidence:
    """Adds to each address how many accounts the other addresses of its network have behind them.

    Where a carrier deals its addresses out to thousands, one that was seen with three accounts is not rarer than its
    neighbours: the users of any of them are expected to meet as many as users of the others do, which is the mean
    over users, not over addresses.
    """
    rows = query_columns(
        con,
        f"""SELECT entity, {code_of("parent")} AS parent FROM tokens
            WHERE entity_type = 'ip' AND parent IS NOT NULL ORDER BY 1""",
    )
    code = np.asarray(rows["entity"], dtype=np.int64)
    if len(code) == 0:
        return addresses
    at = np.minimum(np.searchsorted(code, addresses.code), len(code) - 1)
    known = code[at] == addresses.code
    degree = addresses.degree.astype(np.float64)
    parent = np.asarray(rows["parent"], dtype=np.int64)[at[known]]
    _, network = np.unique(parent, return_inverse=True)
    users, met = np.bincount(network, degree[known]), np.bincount(network, degree[known] ** 2)
    expected = np.zeros(len(degree))
    expected[known] = (met[network] - degree[known] ** 2) / (users[network] - degree[known] + NETWORK_USERS)
    return replace(addresses, expected=expected)


def collect_relations(con: duckdb.DuckDBPyConnection) -> list[Relation]:
    """Every kind of relation that the log has rows for, self-loops left out."""
    kinds = [row[0] for row in con.execute("SELECT DISTINCT kind FROM relations ORDER BY 1").fetchall()]
    found = []
    for kind in kinds:
        rows = query_columns(
            con,
            """SELECT s.i AS src, d.i AS dst, sum(coalesce(r.count, 1))::BIGINT AS n
               FROM relations r JOIN ix s ON r.src_account_id = s.account_id
                    JOIN ix d ON r.dst_account_id = d.account_id
               WHERE r.kind = ? AND s.i <> d.i GROUP BY 1, 2 ORDER BY 1, 2""",
            [kind],
        )
        columns = [np.asarray(rows[name], dtype=np.int64) for name in ("src", "dst", "n")]
        if len(columns[0]):
            found.append(Relation(relation_layer(kind), *columns))
    return found


def common_sources(relation: Relation) -> Incidence:
    """Accounts that one source referred, funded or invited, as an incidence whose entities are the sources."""
    return _common_ends(relation, relation.dst, relation.src, "source")


def common_targets(relation: Relation) -> Incidence:
    """Accounts that sent to one target, as an incidence whose entities are the targets."""
    return _common_ends(relation, relation.src, relation.dst, "target")


def _common_ends(relation: Relation, account: IntArray, end: IntArray, role: str) -> Incidence:
    name, nothing = relation.spec.name, np.full(len(account), np.nan)
    spec = LayerSpec(f"{name}_{role}", relation.spec.group, 0.3, f"one {role} of {name}s")
    return incidence_from(spec, {"i": account, "entity": end, "n": relation.count, "first": nothing, "last": nothing})


def code_of(column: str) -> str:
    """A 63-bit code of a text, null where the text is."""
    return f"CASE WHEN {column} IS NOT NULL THEN (hash({column}) % 9223372036854775807)::BIGINT END"


def _links_sql(entity_type: str) -> str:
    return f"""SELECT i, entity, sum(coalesce(count, 1))::BIGINT AS n, min(epoch_us(ts)) AS first,
                      max(epoch_us(ts)) AS last
               FROM links JOIN ix USING (account_id) WHERE entity_type = '{entity_type}' GROUP BY 1, 2"""


def _entity_sql(entity_type: str) -> str:
    parts = [_links_sql(entity_type)]
    if entity_type in ("ip", "device", "payment", "user_agent"):
        parts.append(
            f"""SELECT i, {entity_type} AS entity, count(*) AS n, min(ts) AS first, max(ts) AS last FROM ev
                WHERE {entity_type} IS NOT NULL GROUP BY 1, 2"""
        )
    else:
        parts.append(
            f"""SELECT i, {entity_type} AS entity, 1 AS n, epoch_us(created_at) AS first, epoch_us(created_at) AS last
                FROM accounts JOIN ix USING (account_id) WHERE {entity_type} IS NOT NULL"""
        )
    return f"""SELECT i, entity, sum(n)::BIGINT AS n, min(first) AS first, max(last) AS last
               FROM ({" UNION ALL ".join(parts)}) GROUP BY 1, 2 ORDER BY 1, 2"""


def _floors(con: duckdb.DuckDBPyConnection) -> dict[str, dict[int, float]]:
    floors: dict[str, dict[int, float]] = {}
    for entity_type, entity, kind in con.execute(
        "SELECT DISTINCT entity_type, entity, kind FROM entities"
    ).fetchall():
        known = floors.setdefault(entity_type, {})
        known[entity] = max(known.get(entity, 0.0), KIND_FLOOR.get(kind, DECLARED_KIND_FLOOR))
    return floors
