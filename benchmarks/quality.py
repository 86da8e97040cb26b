"""How much of the true operations comes back, on the real network and on a simulated one, beside peers."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import peers
from figures import Figure, mean
from process import Ringwatch

UNLABELLED = ("accounts", "relations", "links", "entities")
FIRST_SEED = 9001
"""Worlds that nobody looked at while the detector and the simulator were built."""


def _judged(command: Ringwatch, labels: Path, folder: Path) -> tuple[dict[str, float], peers.Quality]:
    """The product's own figures, and those of the peers' measure on the same clusters: they must agree."""
    document = command.json("evaluate", "--labels", labels)
    own = {name: figure["value"] for name, figure in document["clusters"].items()}
    own["auprc"] = document["accounts"]["auprc"]["value"]
    path = folder / "members.parquet"
    command.run("clusters", "members", "--output", path)
    listed = pd.DataFrame(command.json("clusters", "list", "--limit", "1000000")["clusters"])
    rank = pd.Series(range(len(listed)), index=listed["cluster_id"], dtype="int64")
    members = pd.read_parquet(path)
    members["cluster"] = members["cluster_id"].map(rank)
    other = peers.quality(members[["cluster", "account_id"]], pd.read_parquet(labels))
    return own, other


def hop(out: Path, data: Path) -> list[Figure]:
    """The bridge's wallets, their transfers and links, no label: against the half of the groups that is known."""
    folder = out / "hop"
    shutil.rmtree(folder, ignore_errors=True)
    command = Ringwatch(folder / "workspace")
    command.run("init", "--entity-type", "wallet")
    command.run("ingest", *(data / f"{table}.parquet" for table in UNLABELLED))
    run = command.json("detect", "--no-labels", "--seed", "1")
    own, other = _judged(command, data / "labels.parquet", folder)
    labels = pd.read_parquet(data / "labels.parquet")
    reported = labels[labels["group_id"].fillna("").str.startswith("report_")]
    members = pd.read_parquet(folder / "members.parquet").rename(columns={"cluster_id": "cluster"})
    figures = [
        Figure("hop: recovery", own["recovery"], "", ">=", 0.68, f"{run['clusters']} clusters; attainable .815"),
        Figure("hop: recovery by the peers' measure", other.recovery),
        Figure("hop: recovery of the reported groups", peers.quality(members, reported).recovery),
        Figure("hop: pairwise F1", own["pairwise_f1"]),
        Figure("hop: AUPRC of the accounts' scores", own["auprc"], note="a third of the accounts is abusive here"),
    ]
    for name, clusters in peers.communities(data):
        quality = peers.quality(clusters, labels)
        figures.append(Figure(f"hop: recovery of {name}", quality.recovery))
    return figures


def hop_on_both_stores(out: Path, data: Path, init: tuple[str, ...], env: Mapping[str, str]) -> list[Figure]:
    """The same rows and keys on Neo4j (`init`, `env`) and embedded: are graph and clusters the same?"""
    folder = out / "both"
    shutil.rmtree(folder, ignore_errors=True)
    shared, alone = Ringwatch(folder / "neo4j", **env), Ringwatch(folder / "embedded")
    shared.run("init", "--entity-type", "wallet", *init)
    alone.run("init", "--entity-type", "wallet", "--keys-from", shared.workspace)
    found, seconds = [], []
    for command in (shared, alone):
        done = [
            command.run("ingest", *(data / f"{table}.parquet" for table in UNLABELLED)),
            command.run("detect", "--no-labels", "--seed", "1"),
        ]
        seconds.append(sum(one.seconds for one in done))
        found.append((command.digest(), command.members(folder / "members.csv")))
    return [
        Figure(
            "hop: digests of the graph that are equal on both stores", float(found[0][0] == found[1][0]), "", ">=", 1
        ),
        Figure("hop: files of members that are equal on both stores", float(found[0][1] == found[1][1]), "", ">=", 1),
        Figure("hop: ingest + detect on Neo4j", seconds[0], "s", note=f"embedded {seconds[1]:.1f} s"),
    ]


def easy(out: Path, *, seeds: int = 5) -> list[Figure]:
    """`simulate easy`, without labels."""
    values: dict[str, list[float]] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        folder = out / f"easy-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        command = Ringwatch(folder / "workspace")
        drop = folder / "drop"
        command.run("simulate", "easy", "--output", drop, "--seed", str(seed))
        command.run("init")
        command.run("ingest", drop)
        command.run("detect", "--no-labels", "--seed", "1")
        truth = drop / "truth" / "labels.parquet"
        own, other = _judged(command, truth, folder)
        operations = pd.read_parquet(drop / "truth" / "operations.parquet")
        attainable = statistics.fmean(operations.loc[operations["size"] >= peers.SMALLEST, "attainable_f1"])
        found = {
            "recovery": own["recovery"],
            "recovery by the peers' measure": other.recovery,
            "recovery over attainable": own["recovery"] / attainable,
            "precision at k": own["precision_at_k"],
            "AUPRC of the accounts' scores": own["auprc"],
        }
        for name, clusters in peers.communities(drop):
            quality = peers.quality(clusters, pd.read_parquet(truth))
            found[f"recovery of {name}"] = quality.recovery
            found[f"precision at k of {name}"] = quality.precision_at_k
        for name, value in found.items():
            values.setdefault(name, []).append(value)
        shutil.rmtree(folder)
    bounds = {"recovery": 0.80, "precision at k": 0.95}
    return [mean(f"easy: {name}", runs, at_least=bounds.get(name)) for name, runs in values.items()]
