"""Message passing that expects unlike neighbours: signed gates on every edge, and the account kept apart.

On graphs of abuse most neighbours of an abusive account are honest: an operator hides among them. So each edge has a
gate in (−1, 1) learnt from both ends and the edge, which can subtract a neighbour as well as add it (FAGCN: Bo, Wang,
Shi and Shen, "Beyond low-frequency information in graph convolutional networks", AAAI 2021); what an account is and
what its neighbours are stay apart until the last layer (H2GCN: Zhu et al., NeurIPS 2020); and of a crowd only the
edges that are worth most in bits speak (a choice of neighbours, as PC-GNN makes it: Liu et al., WWW 2021). Accounts
and entities are both nodes; in full batch.

    h⁰ᵢ = relu(W_t xᵢ)            g_e = tanh(a_r · hₛ + b_r · hₜ + c_r w_e)
    hᵏ⁺¹ᵢ = ε h⁰ᵢ + Σ_r Σ_{e: s→i} g_e w_e hᵏₛ / Σ_{e: s→i} w_e          zᵢ = o + mlp([h⁰ᵢ, h¹ᵢ, h²ᵢ])
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ringwatch.errors import UsageError
from ringwatch.gnn.features import standardise
from ringwatch.gnn.graph import Float32, FloatArray, Graph, IntArray, Through
from ringwatch.gnn.models.base import Arrays, load_arrays, save_arrays, scaled
from ringwatch.gnn.models.torch_here import load_geometric, load_torch, loss_of, seeded
from ringwatch.gnn.task import Task, View, columns

WIDTH = 16
LAYERS = 2
MOST = 6
"""Edges into a node, of one relation."""

KEEP_SELF = 0.5
EPOCHS = 80
RATE = 2e-2
DECAY = 1e-3
DROPOUT = 0.3
LARGEST = 200_000
"""Accounts that fit in full batch."""


@dataclass(frozen=True)
class Wiring:
    """The edges of all relations in one numbering of nodes: accounts, then the entities of each relation in turn.

    By relation `source`, `target`, `weight` (each target's weights add up to at most 1), `strength` (of the edge, in
    [0, 1]). `known` are the columns of the entities of each relation that has some.
    """

    nodes: int
    names: tuple[str, ...]
    edges: tuple[tuple[IntArray, IntArray, Float32, Float32], ...]
    known: dict[str, tuple[int, Float32]]


def wire(graph: Graph, names: tuple[str, ...] | None = None) -> Wiring:
    """The wiring of a graph's relations; of those named, in that order, where a model knows no others."""
    by_name = {relation.name: relation for relation in graph.relations}
    names = tuple(by_name) if names is None else names
    n = len(graph)
    nodes, edges, known = n, [], {}
    for name in names:
        relation = by_name.get(name)
        if relation is None:
            empty = np.zeros(0, dtype=np.int64)
            edges.append((empty, empty, empty.astype(np.float32), empty.astype(np.float32)))
            continue
        source, target, weight = relation.links(n, MOST)
        if isinstance(relation, Through):
            source, target = (np.where(end >= n, end - n + nodes, end) for end in (source, target))
            known[name] = (nodes, relation.known)
            nodes += len(relation.weight)
        total = np.bincount(target, weight, minlength=nodes)[target]
        strength = weight / max(float(weight.max(initial=0.0)), 1e-9)
        edges.append((source, target, (weight / np.maximum(total, 1e-9)).astype(np.float32), strength))
    return Wiring(nodes, names, tuple(edges), known)


@dataclass(frozen=True)
class FittedSigned:
    """Column names of accounts, relations, scales and weights, the log odds that it begins from."""

    names: tuple[str, ...]
    relations: tuple[str, ...]
    arrays: Arrays
    start: float

    def score(self, view: View) -> FloatArray:
        a, graph = self.arrays, view.graph
        wiring = wire(graph, self.relations)
        x = scaled(columns(view.blocks, self.names), a["mean"], a["spread"])
        first = np.zeros((wiring.nodes, WIDTH), dtype=np.float32)
        first[: len(graph)] = np.maximum(x @ a["account.weight"].T + a["account.bias"], 0.0)
        for name, (low, known) in wiring.known.items():
            number = self.relations.index(name)
            if known.shape[1] and f"entity{number}.weight" in a:
                part = scaled(known, a[f"known_mean{number}"], a[f"known_spread{number}"])
                first[low : low + len(known)] = np.maximum(
                    part @ a[f"entity{number}.weight"].T + a[f"entity{number}.bias"], 0.0
                )
        state, states = first, [first[: len(graph)]]
        for layer in range(LAYERS):
            state = self._pass(layer, state, first, wiring)
            states.append(state[: len(graph)])
        deep = np.maximum(np.concatenate(states, axis=1) @ a["deep.weight"].T + a["deep.bias"], 0.0)
        return np.asarray(self.start + (deep @ a["last.weight"].T + a["last.bias"])[:, 0], dtype=np.float64)

    def _pass(self, layer: int, state: Float32, first: Float32, wiring: Wiring) -> Float32:
        import scipy.sparse as sp

        out = KEEP_SELF * first
        for number, (source, target, weight, strength) in enumerate(wiring.edges):
            if len(source) == 0:
                continue
            gate = self.arrays[f"gate{layer}_{number}"]
            said = np.tanh(
                (state @ gate[:WIDTH])[source] + (state @ gate[WIDTH : 2 * WIDTH])[target]
                + strength * gate[2 * WIDTH] + gate[2 * WIDTH + 1]
            )  # fmt: skip
            shape = (wiring.nodes, wiring.nodes)
            out = out + sp.csr_matrix((said * weight, (target, source)), shape=shape) @ state
        return np.asarray(out, dtype=np.float32)

    def save(self, place: Path) -> None:
        words = {"names": list(self.names), "relations": list(self.relations), "start": self.start}
        save_arrays(place, self.arrays, words)


class Signed:
    """Signed message passing over accounts and entities, in full batch."""

    name = "signed"

    def fit(self, task: Task, *, device: str = "cpu") -> FittedSigned:
        if len(task.graph) > LARGEST:
            raise UsageError(
                f"`signed` works in full batch, on up to {LARGEST:,} accounts; there are {len(task.graph):,}.",
                hint="Take `metapath`, which aggregates beforehand.",
            )
        torch = load_torch()
        load_geometric()
        wiring = wire(task.graph)
        fixed = [block for block in task.blocks if block.name in ("own", "evidence")]
        names = tuple(name for block in [*fixed, task.rounds[0].labels] for name in block.names)
        tables = [columns([*fixed, one.labels], names) for one in task.rounds]
        mean, deviation = standardise(tables[0])
        scales: Arrays = {"mean": mean, "spread": deviation}
        entities = {}
        for name, (low, known) in wiring.known.items():
            if known.shape[1]:
                number = wiring.names.index(name)
                scales[f"known_mean{number}"], scales[f"known_spread{number}"] = standardise(known)
                part = scaled(known, scales[f"known_mean{number}"], scales[f"known_spread{number}"])
                entities[number] = (low, torch.from_numpy(part).to(device))
        edges = [tuple(torch.from_numpy(part).to(device) for part in edge) for edge in wiring.edges]
        inputs = [torch.from_numpy(scaled(table, mean, deviation)).to(device) for table in tables]
        target = torch.from_numpy(task.target.astype(np.float32)).to(device)
        weight = torch.from_numpy(task.weight.astype(np.float32)).to(device)
        rows = [torch.from_numpy(one.rows).to(device) for one in task.rounds]
        with seeded(task.seed, len(task.graph)):
            net = _network(len(names), {number: part.shape[1] for number, (_, part) in entities.items()}, wiring)
            net = net.to(device)
            optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
            net.train()
            for epoch in range(EPOCHS):
                number = epoch % len(rows)
                logit = net(inputs[number], entities, edges) + task.start
                at = rows[number]
                loss = loss_of(logit[at], target[at], weight[at])
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()
                schedule.step()
            learnt = {name: value.detach().cpu().numpy() for name, value in net.state_dict().items()}
        return FittedSigned(names, wiring.names, {**scales, **learnt}, task.start)

    def load(self, place: Path) -> FittedSigned:
        arrays, words = load_arrays(place)
        return FittedSigned(tuple(words["names"]), tuple(words["relations"]), arrays, words["start"])


def _network(width: int, entities: dict[int, int], wiring: Wiring):  # type: ignore[no-untyped-def]
    """The network; its parameters have the names that `FittedSigned` reads."""
    torch = load_torch()
    scatter = load_geometric().utils.scatter

    def passed(state, edge, gate):  # type: ignore[no-untyped-def]
        """Σ over edges of gate × weight × source, of each target."""
        source, target, weight, strength = edge
        ends = (state @ gate[:WIDTH], state @ gate[WIDTH : 2 * WIDTH])
        said = ends[0][source] + ends[1][target] + strength * gate[2 * WIDTH] + gate[2 * WIDTH + 1]
        said = (torch.tanh(said) * weight)[:, None] * state[source]
        return scatter(said, target, dim_size=len(state), reduce="sum")

    class Network(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.account = torch.nn.Linear(width, WIDTH)
            for number, size in entities.items():
                self.add_module(f"entity{number}", torch.nn.Linear(size, WIDTH))
            for layer in range(LAYERS):
                for number in range(len(wiring.names)):
                    gate = torch.randn(2 * WIDTH + 2) / (2 * WIDTH) ** 0.5
                    self.register_parameter(f"gate{layer}_{number}", torch.nn.Parameter(gate))
            self.deep = torch.nn.Linear((LAYERS + 1) * WIDTH, WIDTH)
            self.last = torch.nn.Linear(WIDTH, 1)
            torch.nn.init.zeros_(self.last.weight)
            torch.nn.init.zeros_(self.last.bias)
            self.drop = torch.nn.Dropout(DROPOUT)

        def forward(self, x, known, edges):  # type: ignore[no-untyped-def]
            accounts = torch.relu(self.account(self.drop(x)))
            rest = torch.zeros((wiring.nodes - len(x), WIDTH), device=x.device)
            first = torch.cat([accounts, rest])
            for number, (low, part) in known.items():
                made = torch.relu(getattr(self, f"entity{number}")(part))
                first = torch.cat([first[:low], made, first[low + len(part) :]])
            state, states = first, [accounts]
            for layer in range(LAYERS):
                out = KEEP_SELF * first
                for number, edge in enumerate(edges):
                    if len(edge[0]):
                        out = out + passed(state, edge, getattr(self, f"gate{layer}_{number}"))  # type: ignore[no-untyped-call]
                state = out
                states.append(state[: len(x)])
            deep = torch.relu(self.deep(self.drop(torch.cat(states, dim=1))))
            return self.last(deep)[:, 0]

    return Network()
