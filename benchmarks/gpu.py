"""What a GPU brings: the same `bench` on the CPU and on the GPU of this machine, one after the other.

The graph is that of `million.py`, a million accounts with 40 columns and three relations, as a folder that `bench`
reads; message passing in full batch takes the part of it that it may.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import million
import numpy as np
import pandas as pd
import scipy.sparse as sp
from figures import Figure
from process import EXECUTABLE, FailedError, run_process

from ringwatch.gnn.graph import Direct, Relation, Through
from ringwatch.gnn.models.torch_here import load_torch

MODELS = (("metapath", 1_000_000), ("signed", 200_000))
"""A network, and how many accounts it learns on."""

SPLIT = (0.4, 0.2)
"""Shares of the groups that are in train and in val; the rest is test."""

NEAR = 0.01
"""By so much, at most, AUPRC may differ between devices: other random numbers hide other columns in training."""


def run(out: Path) -> Iterator[Figure]:
    """Each network on either device, on the GPU twice."""
    for model, accounts in MODELS:
        folder = out / f"gpu-{accounts}"
        if not (folder / "nodes.parquet").exists():
            write(folder, accounts)
        yield from _compared(folder, model, accounts)


def _compared(folder: Path, model: str, accounts: int) -> list[Figure]:
    torch = load_torch()
    slow, fast, again = (_bench(folder, model, device) for device in ("cpu", "cuda", "cuda"))
    where = f"{model} at {accounts:,} accounts"
    machine = f"{torch.cuda.get_device_name()} beside {torch.get_num_threads()} threads; torch {torch.__version__}"
    seconds = [one["stages"][f"fit {model}"] for one in (slow, fast)]
    quality = [one["models"][model]["auprc"]["mean"] for one in (slow, fast, again)]
    same = all(fast["models"][model][what] == again["models"][model][what] for what in ("auroc", "auprc", "f1_macro"))
    return [
        Figure(f"{where}: seconds of the fit, CPU", seconds[0], "s"),
        Figure(f"{where}: seconds of the fit, GPU", seconds[1], "s"),
        Figure(f"{where}: speed-up of the fit", seconds[0] / seconds[1], "x", ">=", 1.0, machine),
        Figure(f"{where}: seconds of the command, CPU", slow["wall"], "s", note=_stages(slow)),
        Figure(f"{where}: seconds of the command, GPU", fast["wall"], "s", note=_stages(fast)),
        Figure(f"{where}: speed-up of the command", slow["wall"] / fast["wall"], "x", ">=", 1.0),
        Figure(f"{where}: AUPRC, CPU", quality[0]),
        Figure(f"{where}: AUPRC, GPU less CPU", quality[1] - quality[0], "", ">=", -NEAR),
        Figure(f"{where}: a second run on the GPU gives the same figures", float(same), "", ">=", 1.0),
    ]


def _bench(folder: Path, model: str, device: str) -> dict[str, Any]:
    """The document of `ringwatch bench`, with the seconds of the whole command as `wall`."""
    done = run_process([EXECUTABLE, "bench", folder, "--models", model, "--seeds", "1", "--device", device, "--json"])
    if done.code:
        raise FailedError(done)
    return {**done.document, "wall": done.seconds}


def _stages(document: dict[str, Any]) -> str:
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in document["stages"].items())


def write(folder: Path, accounts: int) -> None:
    """The first accounts of the graph with labels of all, groups on one side; its relations as edges."""
    graph, group, abusive = million.drawn(accounts)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    nodes = pd.DataFrame({f"f_{name}": graph.features[:, place] for place, name in enumerate(graph.names)})
    draw = np.random.default_rng(1).random(group[-1] + 1)[group]
    nodes["split"] = np.select([draw < SPLIT[0], draw < sum(SPLIT)], ["train", "val"], "test")
    nodes["label"] = abusive.astype(np.int8)
    nodes.insert(0, "id", np.arange(accounts))
    for relation in graph.relations:
        pairs = _pairs(relation)
        edges = pd.DataFrame({"src": pairs.col, "dst": pairs.row, "weight": pairs.data.astype(np.float32)})
        edges.to_parquet(folder / f"edges-{relation.name}.parquet", index=False)
    nodes.to_parquet(folder / "nodes.parquet", index=False)


def _pairs(relation: Relation) -> sp.coo_matrix:
    """Who is whose neighbour; of accounts that share something, its worth."""
    if isinstance(relation, Direct):
        return relation.matrix.tocoo()
    assert isinstance(relation, Through)
    has = sp.csr_matrix(
        (np.ones(len(relation.account), dtype=np.float32), (relation.account, relation.entity)),
        shape=(relation.accounts, len(relation.weight)),
    )
    both = (has @ sp.diags(relation.weight.astype(np.float32)) @ has.T).tocoo()
    apart = both.row != both.col
    return sp.coo_matrix((both.data[apart], (both.row[apart], both.col[apart])), shape=both.shape)
