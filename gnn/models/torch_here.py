"""The one place that imports torch, and says what to do where it is not installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ringwatch.errors import UsageError
from ringwatch.gnn.labels import ABUSIVE

FEW_ROWS = 30_000
UNRECORDED = 3
"""Steps before the recording of one: what they set up once is not recorded."""


def load_torch() -> Any:
    """The module `torch`.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise UsageError(
            "Graph neural networks need torch, which is not installed here.",
            hint="Install ringwatch with its extra `gnn` (`make install` does); `detect` and `scores` do without.",
        ) from error
    return torch


def load_geometric() -> Any:
    """The module `torch_geometric`.

    Raises:
        UsageError: it is not installed.
    """
    load_torch()
    try:
        import torch_geometric
    except ImportError as error:
        raise UsageError(
            "Message passing needs torch-geometric, which is not installed here.",
            hint="Install ringwatch with its extra `gnn` (`make install` does).",
        ) from error
    return torch_geometric


def pick_device(wanted: str) -> str:
    """`cpu` or `cuda`; `auto` is the GPU where there is one.

    Raises:
        UsageError: another is asked for, or a GPU and there is none, or torch is not installed.
    """
    if wanted not in ("cpu", "cuda", "auto"):
        raise UsageError(f"There is no device {wanted!r}.", hint="Take cpu, cuda or auto.")
    if wanted == "cpu":
        return wanted
    there = bool(load_torch().cuda.is_available())
    if wanted == "cuda" and not there:
        raise UsageError("There is no GPU that torch can use.", hint="Take --device cpu.")
    if not there:
        return "cpu"
    # What cuBLAS needs to give the same bits each time; read when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return "cuda"


class Replayed:
    """A step of training on the rows of an index, for batches of `size` rows; on a GPU, a recording of it.

    A small network's step is some hundred kernels of a few microseconds each, and starting them one by one takes far
    longer than they do. So the steps after the first few are one CUDA graph, recorded once. `step` must not look at
    what it computes, nor change shapes; batches of another size, and all on a CPU, go the usual way.
    """

    def __init__(self, step: Callable[[Any], None], size: int, device: str) -> None:
        self._step, self._size, self._on = step, size, device != "cpu"
        self._usual = 0
        self._graph: Any = None
        self._at: Any = None

    def __call__(self, at: Any) -> None:
        if not self._on or len(at) != self._size:
            self._step(at)
            return
        cuda = load_torch().cuda
        if self._usual < UNRECORDED:
            # Beside the default stream, as a recording wants those before it to have been.
            self._usual += 1
            beside = cuda.Stream()
            beside.wait_stream(cuda.current_stream())
            with cuda.stream(beside):
                self._step(at)
            cuda.current_stream().wait_stream(beside)
            return
        if self._graph is None:
            self._graph, self._at = cuda.CUDAGraph(), at.clone()
            with cuda.graph(self._graph):
                self._step(self._at)
        self._at.copy_(at)
        self._graph.replay()


@contextmanager
def seeded(seed: int, rows: int) -> Iterator[None]:
    """Runs the block with torch's generators seeded and its algorithms deterministic, and puts both back; on one
    thread where there are so few rows that several would mostly wait for each other."""
    torch = load_torch()
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    if rows < FEW_ROWS:
        torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            torch.set_num_threads(threads)


def loss_of(logit: Any, target: Any, weight: Any) -> Any:
    """Weighted cross entropy for targets in [0, 1]."""
    torch = load_torch()
    each = torch.nn.functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
    return (each * weight).sum() / weight.sum()


def nnpu_of(logit: Any, label: Any, prior: float) -> Any:
    """The non-negative risk of positives, labelled benign and unlabelled accounts, of which `prior` are positive.

    With the logistic loss ℓ: π E_P[ℓ(z)] + max(0, E_U[ℓ(−z)] − π E_P[ℓ(−z)]), labelled benign accounts being in U
    (Kiryo et al., "Positive-unlabeled learning with non-negative risk estimator", NeurIPS 2017). Where what is not
    positive would cost less than nothing, the step goes the other way, as they do.
    """
    torch = load_torch()
    soft = torch.nn.functional.softplus
    positive, rest = logit[label == ABUSIVE], logit[label != ABUSIVE]
    if len(positive) == 0:
        return soft(rest).mean()
    cost = soft(rest).mean() - prior * soft(positive).mean()
    return prior * soft(-positive).mean() + cost if cost >= 0 else -cost
