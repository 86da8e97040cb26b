"""Frames of the graph come in; a database that answers Cypher goes out. One protocol, two stores.

`next_generation` makes a file of the embedded store, `Neo4jStore.write` brings a server forward, `write_import_files`
writes what Neo4j's own importer loads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringwatch.doors import door

if TYPE_CHECKING:
    from ringwatch.graphs.store.base import Applied, Changes, GraphStore, Result
    from ringwatch.graphs.store.embedded import EmbeddedStore, next_generation
    from ringwatch.graphs.store.import_files import write_import_files
    from ringwatch.graphs.store.neo4j import Neo4jStore
else:
    __getattr__ = door(__name__)

__all__ = [
    "Applied",
    "Changes",
    "EmbeddedStore",
    "GraphStore",
    "Neo4jStore",
    "Result",
    "next_generation",
    "write_import_files",
]
