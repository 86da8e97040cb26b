"""What every model can do, and how what it learnt is kept: numbers in safetensors, words in JSON, no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ringwatch.errors import RingwatchError
from ringwatch.gnn.graph import Float32, FloatArray
from ringwatch.gnn.task import Task, View

Arrays = dict[str, npt.NDArray[Any]]


class Fitted(Protocol):
    """What a model learnt."""

    def score(self, view: View) -> FloatArray:
        """Log odds (natural) of abuse of every account; float64[n]."""
        ...

    def save(self, place: Path) -> None:
        """Writes files whose names begin with that of `place`."""
        ...


class Model(Protocol):
    """A way to learn. `name` is what users call it."""

    name: str

    def fit(self, task: Task, *, device: str = "cpu") -> Fitted: ...

    def load(self, place: Path) -> Fitted: ...


def save_arrays(place: Path, arrays: Mapping[str, npt.NDArray[Any]], words: Mapping[str, Any]) -> None:
    """`PLACE.safetensors` and `PLACE.json`."""
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    place.with_suffix(".safetensors").write_bytes(save(tensors))
    place.with_suffix(".json").write_text(json.dumps(words, indent=1, sort_keys=True), encoding="utf-8")


def load_arrays(place: Path) -> tuple[Arrays, dict[str, Any]]:
    """What `save_arrays` wrote.

    Raises:
        RingwatchError: a file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(place.with_suffix(".safetensors").read_bytes())
        words = json.loads(place.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError) as error:
        raise RingwatchError(
            f"The model {place} cannot be read: {error}.", hint="Train again, or restore it from a backup."
        ) from error
    return arrays, words


def scaled(values: Float32, mean: Float32, spread: Float32) -> Float32:
    """Standardised and cut off at ±5; unknown is the mean."""
    out: Float32 = np.subtract(values, mean, dtype=np.float32)
    out /= spread
    np.copyto(out, 0.0, where=np.isnan(out))
    np.clip(out, -5.0, 5.0, out=out)
    return out
