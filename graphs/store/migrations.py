"""How a store comes to the schema of `graphs.schema`: small named steps, for both stores.

A step's statements have no effect when they are repeated, so that an interrupted migration is run again from its
start. The first step makes whatever `graphs.schema` names; a later one adds what an older store lacks, with
IF NOT EXISTS, because a new store runs it as well. To change the schema: edit `graphs.schema`, raise
`SCHEMA_VERSION`, append a step.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringwatch.graphs.schema import EDGES, NODES, SCHEMA_VERSION, ColumnType, EdgeTable, NodeTable

META = "RingwatchStore"
"""The label of the one node that says what a store holds."""

EMBEDDED_TYPES: dict[ColumnType, str] = {
    "string": "STRING",
    "int": "INT64",
    "float": "DOUBLE",
    "bool": "BOOLEAN",
    "time": "TIMESTAMP",
    "strings": "STRING[]",
}


@dataclass(frozen=True)
class Migration:
    """A step to `version`, in the words of each store."""

    version: int
    name: str
    embedded: tuple[str, ...]
    neo4j: tuple[str, ...]


def create_nodes(table: NodeTable) -> str:
    """The statement that makes a node table of the embedded store."""
    columns = _columns(table.columns)
    return (
        f"CREATE NODE TABLE IF NOT EXISTS `{table.label}`(`{table.key}` STRING{columns}, PRIMARY KEY(`{table.key}`))"
    )


def create_edges(table: EdgeTable) -> str:
    """The statement that makes an edge table of the embedded store."""
    return (
        f"CREATE REL TABLE IF NOT EXISTS `{table.type}`(FROM `{table.src}` TO `{table.dst}`{_columns(table.columns)})"
    )


def _columns(columns: dict[str, ColumnType]) -> str:
    return "".join(f", `{name}` {EMBEDDED_TYPES[kind]}" for name, kind in columns.items())


def _neo4j_keys() -> tuple[str, ...]:
    return tuple(
        f"CREATE CONSTRAINT {label.lower()}_key IF NOT EXISTS FOR (n:`{label}`) REQUIRE n.`{key}` IS UNIQUE"
        for label, key in (*((table.label, table.key) for table in NODES.values()), (META, "id"))
    )


MIGRATIONS = (
    Migration(
        1,
        "tables and keys",
        embedded=(
            *(create_nodes(node) for node in NODES.values()),
            *(create_edges(edge) for edge in EDGES.values()),
            f"CREATE NODE TABLE IF NOT EXISTS {META}(id STRING, batches STRING[], runs STRING[], "
            "schema_version INT64, PRIMARY KEY(id))",
        ),
        neo4j=(
            *_neo4j_keys(),
            "CREATE INDEX account_label IF NOT EXISTS FOR (n:Account) ON (n.label)",
            "CREATE INDEX account_created IF NOT EXISTS FOR (n:Account) ON (n.created_at)",
            "CREATE INDEX cluster_score IF NOT EXISTS FOR (n:Cluster) ON (n.score)",
            "CREATE INDEX in_cluster_run IF NOT EXISTS FOR ()-[e:IN_CLUSTER]-() ON (e.run_id)",
            "CREATE INDEX coordinated_run IF NOT EXISTS FOR ()-[e:COORDINATED_WITH]-() ON (e.run_id)",
        ),
    ),
)
assert MIGRATIONS[-1].version == SCHEMA_VERSION  # noqa: S101


def pending(version: int) -> tuple[Migration, ...]:
    """The steps that a store of this version lacks, in their order."""
    return tuple(step for step in MIGRATIONS if step.version > version)
