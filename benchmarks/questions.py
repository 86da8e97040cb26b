"""How long each question of the library takes that starts at one node: `python benchmarks/questions.py WORKSPACE`.

The nodes are those that are worst: the largest cluster, a member of it, what that uses. Wall and CPU seconds of the
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


def main() -> None:
    workspace = Workspace.open(Path(sys.argv[1]))
    with closing(open_store(workspace)) as store:
        starts = {**_starts(store), "since": "2026-03-15"}
    rows: list[tuple[float, float, str, str]] = []
    for name, query in library().items():
        required = [parameter.name for parameter in query.parameters if parameter.required]
        if not set(required) - {"since"}:
            continue
        if not set(required) <= set(starts):
            print(f"{name}: the graph has no {', '.join(set(required) - set(starts))}")
            continue
        given = {key: starts[key] for key in required}
        try:
            for _ in range(2):
                with closing(open_store(workspace)) as store:
                    store.query("MATCH (a:Account) RETURN count(*) AS n")
                    wall, cpu = time.perf_counter(), time.process_time()
                    answer = run(store, name, given, timeout=60)
                    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            rows.append((cpu, wall, name, f"{len(answer.rows)} rows{' and more' if answer.truncated else ''}"))
        except RingwatchError as error:
            print(f"{name}: {error}")
    for cpu, wall, name, said in sorted(rows, reverse=True):
        print(f"{name:24} {wall:7.3f} s {cpu:7.3f} s CPU  {said}")


if __name__ == "__main__":
    main()
