"""A network on pre-aggregated metapaths, with attention over them: SIGN and SeHGNN, along ties weighted by bits.

Each block (an account's own columns, the means over one relation, what labels say) is projected to a vector of
`WIDTH`; an account weighs its vectors by attention, and two layers turn their sum, beside its own, into log odds.
Neighbours were averaged beforehand, so training is plain mini-batches of rows, on a CPU as on a GPU: all rows are
copied to the device once, and batches are taken from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from ringwatch.gnn.features import standardise
from ringwatch.gnn.graph import Float32, FloatArray, IntArray
from ringwatch.gnn.labels import ABUSIVE
from ringwatch.gnn.models.base import Arrays, load_arrays, save_arrays, scaled
from ringwatch.gnn.models.torch_here import Replayed, load_torch, loss_of, nnpu_of, seeded
from ringwatch.gnn.neighbours import Block
from ringwatch.gnn.task import Task, View, columns

WIDTH = 32
DROPOUT = 0.3
BLOCK_DROPOUT = 0.1
"""How often a block is hidden from an account in training: no relation is to be relied on alone."""

EPOCHS = 40
BATCH = 2048
ABUSIVE_IN_BATCH = 64
RATE = 5e-3
DECAY = 1e-2
CHUNK = 8192
"""Rows scored at a time: what they pass through stays in the cache."""


@dataclass(frozen=True)
class FittedMetapath:
    """Names by block, scales and weights by name, the log odds that it begins from."""

    blocks: tuple[tuple[str, ...], ...]
    arrays: Arrays
    start: float

    def score(self, view: View) -> FloatArray:
        n = len(view.graph)
        out = np.empty(n)
        for low in range(0, n, CHUNK):
            rows = np.arange(low, min(low + CHUNK, n))
            out[rows] = self.start + self._forward(view, rows)
        return out

    def _forward(self, view: View, rows: IntArray) -> Float32:
        a = self.arrays
        hidden = []
        for number, names in enumerate(self.blocks):
            x = scaled(columns(view.blocks, names, rows), a[f"mean{number}"], a[f"spread{number}"])
            hidden.append(np.maximum(x @ a[f"block{number}.weight"].T + a[f"block{number}.bias"], 0.0))
        stacked = np.stack(hidden, axis=1)
        told = np.tanh(stacked @ a["attend.weight"].T + a["attend.bias"]) @ a["query"]
        share = softmax(told, axis=1)
        mixed = np.concatenate([(stacked * share[:, :, None]).sum(axis=1), stacked[:, 0]], axis=1)
        deep = np.maximum(mixed @ a["deep.weight"].T + a["deep.bias"], 0.0)
        return np.asarray((deep @ a["last.weight"].T + a["last.bias"])[:, 0])

    def save(self, place: Path) -> None:
        save_arrays(place, self.arrays, {"blocks": [list(names) for names in self.blocks], "start": self.start})


class Metapath:
    """Relation-wise aggregation beforehand, attention over relations.

    `risk`: "weighted" takes targets in between and weights (`task.make_task`); "nnpu" takes labelled accounts for
    what they are and the rest for unlabelled (`torch_here.nnpu_of`).
    """

    def __init__(self, risk: str = "weighted") -> None:
        self.name = "metapath" if risk == "weighted" else f"metapath-{risk}"
        self._non_negative = risk == "nnpu"

    def fit(self, task: Task, *, device: str = "cpu") -> FittedMetapath:
        torch = load_torch()
        fixed: list[Block] = [block for block in task.blocks if block.values.shape[1]]
        names = tuple(block.names for block in [*fixed, task.rounds[0].labels])
        scales: Arrays = {}
        for number, block in enumerate([*fixed, task.rounds[0].labels]):
            scales[f"mean{number}"], scales[f"spread{number}"] = standardise(block.values)
        with seeded(task.seed, len(task.graph)):
            net = _network([len(part) for part in names]).to(device)
            rows = [one.rows for one in task.rounds]
            batch = int(np.clip(max(len(part) for part in rows) // 16, 128, BATCH))
            steps = sum(-(-len(rows[epoch % len(rows)]) // batch) for epoch in range(EPOCHS))
            on_gpu = device != "cpu"
            optimiser = torch.optim.AdamW(
                net.parameters(), lr=torch.tensor(RATE, device=device) if on_gpu else RATE, weight_decay=DECAY,
                fused=on_gpu, capturable=on_gpu,
            )  # fmt: skip
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimiser, RATE, total_steps=max(steps, 2), cycle_momentum=False
            )
            rng = np.random.default_rng([task.seed, 81])
            begins = np.cumsum([0, *map(len, rows)])
            label = task.labels.label
            inputs = [torch.from_numpy(part).to(device) for part in _tables(task, fixed, scales)]
            target, weight, kind = (
                torch.from_numpy(np.concatenate([of[part] for part in rows])).to(device)
                for of in (task.target.astype(np.float32), task.weight.astype(np.float32), label)
            )
            told = [np.flatnonzero(label[part] == ABUSIVE) for part in rows]

            def step(at):  # type: ignore[no-untyped-def]
                logit = net([part[at] for part in inputs]) + task.start
                if self._non_negative:
                    loss = nnpu_of(logit, kind[at], task.prior)
                else:
                    loss = loss_of(logit, target[at], weight[at])
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()

            # The non-negative risk looks at its own sign.
            take = step if self._non_negative else Replayed(step, batch, device)
            net.train()
            for epoch in range(EPOCHS):
                number = epoch % len(rows)
                order = rng.permutation(len(rows[number]))
                mixed = torch.from_numpy(begins[number] + order).to(device)
                for low in range(0, len(order), batch):
                    at = mixed[low : low + batch]
                    if self._non_negative:
                        drawn = rng.choice(told[number], min(len(told[number]), ABUSIVE_IN_BATCH))
                        at = torch.cat([at, torch.from_numpy(begins[number] + drawn).to(device)])
                    take(at)
                    if schedule.last_epoch < steps - 1:
                        schedule.step()
            learnt = {name: value.detach().cpu().numpy() for name, value in net.state_dict().items()}
        return FittedMetapath(names, {**scales, **learnt}, task.start)

    def load(self, place: Path) -> FittedMetapath:
        arrays, words = load_arrays(place)
        return FittedMetapath(tuple(tuple(names) for names in words["blocks"]), arrays, words["start"])


def _tables(task: Task, fixed: list[Block], scales: Arrays) -> Iterator[Float32]:
    """By block the rows of all rounds, one round after the other."""
    for number, block in enumerate(fixed):
        rows = np.concatenate([one.rows for one in task.rounds])
        yield scaled(block.values[rows], scales[f"mean{number}"], scales[f"spread{number}"])
    last = len(fixed)
    told = np.concatenate([one.labels.values[one.rows] for one in task.rounds])
    yield scaled(told, scales[f"mean{last}"], scales[f"spread{last}"])


def _network(widths: list[int]):  # type: ignore[no-untyped-def]
    """The network; its parameters have the names that `FittedMetapath` reads."""
    torch = load_torch()

    class Network(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            for number, width in enumerate(widths):
                self.add_module(f"block{number}", torch.nn.Linear(width, WIDTH))
            self.attend = torch.nn.Linear(WIDTH, WIDTH)
            self.query = torch.nn.Parameter(torch.randn(WIDTH) / WIDTH**0.5)
            self.deep = torch.nn.Linear(2 * WIDTH, WIDTH)
            self.last = torch.nn.Linear(WIDTH, 1)
            # Before anything is learnt all accounts are the same.
            torch.nn.init.zeros_(self.last.weight)
            torch.nn.init.zeros_(self.last.bias)
            self.drop = torch.nn.Dropout(DROPOUT)

        def forward(self, parts):  # type: ignore[no-untyped-def]
            hidden = [torch.relu(getattr(self, f"block{number}")(part)) for number, part in enumerate(parts)]
            stacked = torch.stack(hidden, dim=1)
            if self.training:
                seen = torch.rand(stacked.shape[:2], device=stacked.device) >= BLOCK_DROPOUT
                stacked = stacked * seen[:, :, None]
            told = torch.tanh(self.attend(stacked)) @ self.query
            share = torch.softmax(told, dim=1)
            mixed = torch.cat([(stacked * share[:, :, None]).sum(dim=1), stacked[:, 0]], dim=1)
            return self.last(self.drop(torch.relu(self.deep(self.drop(mixed)))))[:, 0]

    return Network()
