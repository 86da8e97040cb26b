"""How fast new relationships come into Neo4j, beside a bare loop over the driver that writes the same ones."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import neo4j
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from figures import Figure, spread

from ringwatch.graphs.store import Applied, Changes, Neo4jStore

sys.path.append(str(Path(__file__).resolve().parents[1]))
from tests.neo4j_server import Server, ServerError, running

__all__ = ["Server", "ServerError", "measure", "with_server"]

_CHUNK = 2_500
_BARE = (
    "UNWIND $rows AS row MATCH (a:Account {{id: row.src}}) MATCH (b:Ip {{token: row.dst}}) "
    "{word} (a)-[e:USED_IP]->(b) SET e.count = row.count, e.first_seen = datetime({{epochMillis: row.first}}), "
    "e.last_seen = datetime({{epochMillis: row.last}})"
)


def with_server(benchmark: Callable[[Server], list[Figure]]) -> list[Figure]:
    """Runs a benchmark on a server of its own.

    Raises:
        ServerError: there can be none here.
    """
    with tempfile.TemporaryDirectory() as home, running(Path(home)) as server:
        return benchmark(server)


def measure(server: Server, *, edges: int = 100_000, turns: int = 3) -> list[Figure]:
    """`turns` of each way, in turn, on the same relationships; on the empty database of `server`."""
    accounts, ips, frame = _graph(edges)
    rows = _rows(frame)
    with (
        server.driver() as driver,
        closing(Neo4jStore(server.uri, workspace_id="bench", user=server.user, password=server.password)) as store,
    ):

        def write(changes: Changes) -> None:
            store.write(changes, Applied())

        write(Changes({"Account": accounts, "Ip": ips}))
        ways: dict[str, tuple[Callable[[], None], Callable[[], None], float]] = {
            "first load": (
                lambda: write(Changes(edges={"USED_IP": frame})),
                lambda: _bare(driver, rows, _BARE.format(word="CREATE")),
                30_000,
            ),
            "MERGE batches": (
                lambda: write(Changes(edges={"USED_IP": frame})),
                lambda: _bare(driver, rows, _BARE.format(word="MERGE")),
                15_000,
            ),
        }
        figures = []
        for name, (ours, bare, bound) in ways.items():
            # Whatever is stored already decides whether a batch may be created or must be merged.
            first = frame.slice(0, 1) if name == "MERGE batches" else frame.slice(0, 0)
            seconds: dict[str, list[float]] = {"ours": [], "bare": []}
            for turn in range(turns + 1):
                for whose, work in (("ours", ours), ("bare", bare)):
                    write(Changes(edges={"USED_IP": first}, replace=("USED_IP",)))
                    start = time.perf_counter()
                    work()
                    # The first turn warms the server up.
                    seconds[whose] += [time.perf_counter() - start] if turn else []
                    if store.counts()["USED_IP"] != edges:
                        raise RuntimeError(f"{whose}: not all relationships are there")
            rates = [edges / value for value in seconds["ours"]]
            ratio = statistics.median(seconds["ours"]) / statistics.median(seconds["bare"])
            bare_rates = spread([edges / value for value in seconds["bare"]])
            figures += [
                Figure(
                    f"new relationships a second, {name}", statistics.median(rates), "/s", ">=", bound, spread(rates)
                ),
                Figure(f"time beside a bare driver loop, {name}", ratio, "x", "<=", 1.3, f"bare: {bare_rates} /s"),
            ]
    return figures


def _graph(edges: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    draw = np.random.default_rng(1)
    accounts, ips = edges // 2, edges // 2
    pairs = draw.choice(accounts * ips, size=edges, replace=False)
    src, dst = (pc.cast(pa.array(part), pa.string()) for part in (pairs // ips, pairs % ips))
    seen = pa.array(1_770_000_000_000_000 + draw.integers(0, 10**9, edges) * 1000).cast(pa.timestamp("us", "UTC"))
    counts = pa.array(draw.integers(1, 9, edges))
    named: Any = {"src": src, "dst": dst, "count": counts, "first_seen": seen, "last_seen": seen}
    # In the order of the accounts, as the projection writes them.
    frame = pa.table(named).sort_by([("src", "ascending"), ("dst", "ascending")])
    numbers = pa.array(np.arange(accounts)).cast(pa.string())
    return pa.table([numbers], names=["id"]), pa.table([numbers], names=["token"]), frame


def _rows(frame: pa.Table) -> list[list[dict[str, Any]]]:
    millis = pc.divide(frame.column("first_seen").cast(pa.int64()), 1000)
    columns: list[Any] = [*(frame.column(name) for name in ("src", "dst", "count")), millis, millis]
    rows = pa.table(columns, names=["src", "dst", "count", "first", "last"]).to_pylist()
    return [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]


def _bare(driver: neo4j.Driver, chunks: list[list[dict[str, Any]]], statement: str) -> None:
    with driver.session(database="neo4j") as session:
        for chunk in chunks:
            session.execute_write(_run, statement, chunk)


def _run(tx: neo4j.ManagedTransaction, statement: str, rows: list[dict[str, Any]]) -> None:
    tx.run(statement, rows=rows).consume()
