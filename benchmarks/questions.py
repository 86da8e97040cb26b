"""How long each question of the library takes that starts at one node: `python benchmarks/questions.py WORKSPACE`.

The nodes are those that are worst: the largest cluster, a member of it, what that uses; for what is asked of an
entity also the address that most accounts use (`hub`). Wall and CPU seconds of the
second of two runs, each on a store that was opened anew; CPU is less noisy where others use the machine.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path

from ringwatch.errors import RingwatchError
from ringwatch.graphs.store import GraphStore
from ringwatch.pipeline import open_store
from ringwatch.queries import library, run
from ringwatch.workspace import Workspace

_START = {
    "cluster": "MATCH (c:Cluster) RETURN c.id AS v ORDER BY c.size DESC, v LIMIT 1",
    "account": "MATCH (a:Account)-[:IN_CLUSTER]->(:Cluster {id: $cluster}) RETURN a.id AS v ORDER BY v LIMIT 1",
    "other": "MATCH (:Account {id: $account})-[:COORDINATED_WITH]-(b:Account) RETURN b.id AS v ORDER BY v LIMIT 1",
    "entity": "MATCH (:Account {id: $account})-[:USED_DEVICE]->(x:Device) RETURN x.token AS v ORDER BY v LIMIT 1",
    "hub": "MATCH (x:Ip)<-[:USED_IP]-(a) RETURN x.token AS v, count(a) AS n ORDER BY n DESC, v LIMIT 1",
    "payment": "MATCH (x:PaymentInstrument)<-[:PAID_WITH]-() RETURN x.token AS v, count(*) AS n "
    "ORDER BY n DESC, v LIMIT 1",
    "network": "MATCH (:Account {id: $account})-[:USED_IP]->(:Ip)-[:IN_NETWORK]->(n:Network) RETURN n.cidr AS v "
    "ORDER BY v LIMIT 1",
    "domain": "MATCH (x:EmailDomain) RETURN x.domain AS v ORDER BY v LIMIT 1",
    "organization": "MATCH (s:Syndicate) RETURN s.id AS v ORDER BY s.score DESC, v LIMIT 1",
    "org_id": "MATCH (o:Organization) RETURN o.id AS v ORDER BY v LIMIT 1",
    "family": "MATCH (p:PromptFamily) RETURN p.id AS v ORDER BY p.accounts DESC, v LIMIT 1",
    "chain": "MATCH (t:ToolChain) RETURN t.id AS v ORDER BY t.accounts DESC, v LIMIT 1",
}


def _starts(store: GraphStore) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, cypher in _START.items():
        taken = {key: value for key, value in found.items() if f"${key}" in cypher}
        rows = store.query(cypher, taken).rows
        if rows:
            found[name] = rows[0][0]
    return found


def _seconds(workspace: Workspace, name: str, given: dict[str, str]) -> tuple[float, float, str]:
    """CPU and wall seconds of the second of two runs, and what it answered."""
    for _ in range(2):
        with closing(open_store(workspace)) as store:
            store.query("MATCH (a:Account) RETURN count(*) AS n")
            wall, cpu = time.perf_counter(), time.process_time()
            answer = run(store, name, given, timeout=60)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return cpu, wall, f"{len(answer.rows)} rows{' and more' if answer.truncated else ''}"


def main() -> None:
    workspace = Workspace.open(Path(sys.argv[1]))
    with closing(open_store(workspace)) as store:
        starts = {**_starts(store), "since": "2026-03-15"}
    rows: list[tuple[float, float, str, str]] = []
    for name, query in library().items():
        required = {parameter.name for parameter in query.parameters if parameter.required}
        if not required - {"since"}:
            continue
        if not required <= set(starts):
            print(f"{name}: the graph has no {', '.join(required - set(starts))}")
            continue
        asked = {name: {key: starts[key] for key in required}}
        if required == {"entity"} and "hub" in starts:
            asked[f"{name}, hub"] = {"entity": starts["hub"]}
        for title, given in asked.items():
            try:
                rows.append((*_seconds(workspace, name, given), title))
            except RingwatchError as error:
                print(f"{title}: {error}")
    for cpu, wall, said, title in sorted(rows, reverse=True):
        print(f"{title:24} {wall:7.3f} s {cpu:7.3f} s CPU  {said}")


if __name__ == "__main__":
    main()
