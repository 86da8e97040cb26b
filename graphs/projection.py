"""The evidence graph of the contract from the event log: aggregated nodes and edges with absolute totals.

Totals are taken over the whole log, for the accounts that new batches touch only, so that writing them twice, or in
any split of the same rows, gives the same graph.
"""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from ringwatch.graphs.accounts import HARMFUL
from ringwatch.graphs.schema import ENTITY_NODES, RELATION_EDGES
from ringwatch.graphs.store.base import Changes

_SEEN = "sum(n)::BIGINT AS count, min(first) AS first_seen, max(last) AS last_seen"
_COLUMNS = ("ip", "device", "payment", "user_agent")
_ATTRIBUTES = ("email", "phone")


def evidence_changes(con: duckdb.DuckDBPyConnection, entity_types: Iterable[str], *, fresh: str | None) -> Changes:
    """Frames to write to a store.

    `con` has the log's views. `fresh` names a schema whose views hold the new batches alone, and in `held_accounts`
    the accounts' rows of the others; None means that all of the log is new. Entities that a fresh row only describes
    (kind, network) are rewritten as well. Where an account's newer row takes back what an older one said, the edges
    of that kind are written anew, of all accounts.
    """
    con.execute("SET TimeZone = 'UTC'")
    _touched(con, fresh)
    taken_back = {column for column in (*_ATTRIBUTES, "org_id") if fresh and _taken_back(con, fresh, column)}
    replaced = [ENTITY_NODES[column][1] for column in _ATTRIBUTES if column in taken_back]
    nodes: dict[str, pa.Table] = {"Account": _query(con, _ACCOUNTS)}
    edges: dict[str, pa.Table] = {}
    con.execute(
        """CREATE OR REPLACE TEMP TABLE named AS
           SELECT t.entity_type, t.entity, any_value(t.token) AS token, min(t.parent) AS parent,
                  min(t.label) AS label, bool_or(t.disposable) AS disposable, min(k.kind) AS kind
           FROM tokens t LEFT JOIN entities k USING (entity_type, entity) GROUP BY 1, 2"""
    )
    # An entity has its node where nobody uses it, too: the entities table may know it, before or after it is seen.
    for entity_type, (label, _) in ENTITY_NODES.items():
        nodes[label] = _query(con, _entity_nodes(entity_type))
    nodes["Entity"] = _query(
        con, "SELECT token, entity_type AS type, kind FROM named WHERE entity_type NOT IN "
        f"({', '.join(repr(name) for name in ENTITY_NODES)}) ORDER BY 1"
    )  # fmt: skip
    declared = []
    for entity_type in entity_types:
        con.execute(f"CREATE OR REPLACE TEMP TABLE uses AS {_uses(entity_type, everyone=entity_type in taken_back)}")
        if not _some(con, "uses"):
            continue
        frame = _query(
            con, f"SELECT account_id AS src, token AS dst, {_SEEN} FROM uses JOIN named USING (entity) "
            f"WHERE entity_type = '{entity_type}' GROUP BY ALL ORDER BY ALL"
        )  # fmt: skip
        if entity_type in ENTITY_NODES:
            edges[ENTITY_NODES[entity_type][1]] = frame
        else:
            declared.append(frame)
    if declared:
        edges["LINKED_TO"] = pa.concat_tables(declared)
    _parents(con, nodes, edges)
    _organizations(con, nodes, edges, everyone="org_id" in taken_back)
    if "org_id" in taken_back:
        replaced += ["Organization", "MEMBER_OF"]
    _relations(con, edges)
    return Changes(
        {label: frame for label, frame in nodes.items() if len(frame)},
        {edge: frame for edge, frame in edges.items() if len(frame)},
        replace=tuple(replaced),
    )


def _touched(con: duckdb.DuckDBPyConnection, fresh: str | None) -> None:
    source = f"{fresh}." if fresh else ""
    named = [f"SELECT account_id FROM {source}{table}" for table in ("accounts", "events", "links", "labels")]
    named += [f"SELECT {end}_account_id FROM {source}relations" for end in ("src", "dst")]
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE touched AS SELECT account_id, row_number() OVER () AS i"
        f" FROM ({' UNION '.join(named)})"
    )
    # Grouping by numbers costs a fraction of grouping by names.
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE seen AS
            SELECT i, ts, {", ".join(_COLUMNS)}, {HARMFUL} AS harmful, refused
            FROM events JOIN touched USING (account_id)"""
    )


def _taken_back(con: duckdb.DuckDBPyConnection, fresh: str, column: str) -> bool:
    """Whether a held row of an account that a fresh one updates said what its standing row does not."""
    return bool(
        con.execute(
            f"""SELECT 1 FROM {fresh}.held_accounts h JOIN accounts a USING (account_id)
                WHERE h.{column} IS NOT NULL AND h.{column} IS DISTINCT FROM a.{column}
                AND account_id IN (SELECT account_id FROM {fresh}.accounts) LIMIT 1"""
        ).fetchall()
    )


_ACCOUNTS = """
    SELECT account_id AS id, a.created_at, a.status, a.country, a.plan, l.label, coalesce(e.events, 0) AS events,
           e.harm_rate, e.refused_rate
    FROM touched LEFT JOIN accounts a USING (account_id)
    LEFT JOIN (
        SELECT i, count(*) AS events, (count(*) FILTER (harmful) / count(*))::DOUBLE AS harm_rate,
               (count(*) FILTER (refused) / count(*))::DOUBLE AS refused_rate
        FROM seen GROUP BY i) e USING (i)
    LEFT JOIN (
        SELECT account_id, arg_max(label, (labelled_at, content_key)) AS label
        FROM labels SEMI JOIN touched USING (account_id) GROUP BY account_id) l USING (account_id)
    ORDER BY 1"""


_TOUCHED = "SEMI JOIN touched USING (account_id)"


def _uses(entity_type: str, *, everyone: bool) -> str:
    among = "" if everyone else _TOUCHED
    parts = [
        f"""SELECT account_id, entity, coalesce(count, 1) AS n, ts AS first, ts AS last FROM links
            {among} WHERE entity_type = '{entity_type}'"""
    ]
    if entity_type in _COLUMNS:
        parts.append(
            f"""SELECT account_id, entity, n, first, last FROM touched JOIN (
                    SELECT i, {entity_type} AS entity, count(*) AS n, min(ts) AS first, max(ts) AS last
                    FROM seen WHERE {entity_type} IS NOT NULL GROUP BY 1, 2) USING (i)"""
        )
    elif entity_type in _ATTRIBUTES:
        parts.append(
            f"""SELECT account_id, {entity_type} AS entity, 1 AS n, created_at AS first, created_at AS last
                FROM accounts {among} WHERE {entity_type} IS NOT NULL"""
        )
    return " UNION ALL ".join(parts)


def _entity_nodes(entity_type: str) -> str:
    more = ", label AS family" if entity_type == "user_agent" else ""
    return f"SELECT token, kind{more} FROM named WHERE entity_type = '{entity_type}' ORDER BY 1"


def _parents(con: duckdb.DuckDBPyConnection, nodes: dict[str, pa.Table], edges: dict[str, pa.Table]) -> None:
    for entity_type, label, key, edge, extra in (
        ("ip", "Network", "cidr", "IN_NETWORK", ""),
        ("email", "EmailDomain", "domain", "AT_DOMAIN", ", bool_or(disposable) AS disposable"),
    ):
        where = f"FROM named WHERE entity_type = '{entity_type}' AND parent IS NOT NULL"
        nodes[label] = _query(con, f"SELECT parent AS {key}{extra} {where} GROUP BY parent ORDER BY 1")
        edges[edge] = _query(con, f"SELECT token AS src, parent AS dst {where} ORDER BY 1")


def _organizations(
    con: duckdb.DuckDBPyConnection, nodes: dict[str, pa.Table], edges: dict[str, pa.Table], *, everyone: bool
) -> None:
    member = f"FROM accounts {'' if everyone else _TOUCHED} WHERE org_id IS NOT NULL"
    nodes["Organization"] = _query(con, f"SELECT DISTINCT org_id AS id {member} ORDER BY 1")
    edges["MEMBER_OF"] = _query(
        con, "SELECT account_id AS src, org_id AS dst, 1::BIGINT AS count, created_at AS first_seen, "
        f"created_at AS last_seen {member} ORDER BY 1"
    )  # fmt: skip


def _relations(con: duckdb.DuckDBPyConnection, edges: dict[str, pa.Table]) -> None:
    con.execute(
        """CREATE OR REPLACE TEMP TABLE related AS
           SELECT src_account_id AS src, dst_account_id AS dst, kind, sum(coalesce(count, 1))::BIGINT AS count,
                  min(ts) AS first_seen, max(ts) AS last_seen, sum(amount ORDER BY amount) AS amount
           FROM relations WHERE src_account_id IN (SELECT account_id FROM touched)
           GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""
    )
    for kind, edge in RELATION_EDGES.items():
        edges[edge] = _query(con, f"SELECT * EXCLUDE (kind) FROM related WHERE kind = '{kind}'")
    built_in = ", ".join(repr(kind) for kind in RELATION_EDGES)
    edges["RELATED"] = _query(con, f"SELECT * FROM related WHERE kind NOT IN ({built_in})")


def _some(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    return bool(con.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall())


def _query(con: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    table: pa.Table = con.sql(sql).to_arrow_table()
    return table
