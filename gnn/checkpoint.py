"""What a training that was cut short has fitted already, so that the same training goes on from there.

A folder of files with the names of what they are, written beside and renamed: what is there is whole. The same graph,
labels and seed fit the same models, so what is read back is what would have been fitted.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ringwatch.gnn.graph import FloatArray
from ringwatch.gnn.models.base import Fitted, Model


@dataclass(frozen=True)
class Checkpoint:
    """`folder`, which need not exist; without one nothing is kept."""

    folder: Path | None = None

    def scores(self, name: str, make: Callable[[], FloatArray]) -> FloatArray:
        """The scores of that name, made if they are not there; float64, as they were."""
        if self.folder is None:
            return make()
        place = self.folder / f"{name}.npy"
        if not place.exists():
            found = make()
            self.folder.mkdir(parents=True, exist_ok=True)
            beside = place.with_name(f".{name}.npy")
            np.save(beside, found, allow_pickle=False)
            beside.rename(place)
        return np.asarray(np.load(place, allow_pickle=False), dtype=np.float64)

    def fitted(self, name: str, model: Model, make: Callable[[], Fitted]) -> Fitted:
        """The model of that name, fitted if it is not there."""
        if self.folder is None:
            return make()
        place = self.folder / f"part-{name}"
        if not place.exists():
            found = make()
            beside = self.folder / f".part-{name}"
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir(parents=True)
            found.save(beside / name)
            beside.rename(place)
        return model.load(place / name)


NO_CHECKPOINT = Checkpoint()
