"""A scenario's name and a seed come in; a drop with its truth goes out.

Beside it lies `sample/hop`, a slice of a real network with attributed groups.
"""

from __future__ import annotations

from ringwatch.data.scenarios import PRESETS, Scenario, Tactics
from ringwatch.data.simulation import SimulationReport, simulate

__all__ = ["PRESETS", "Scenario", "SimulationReport", "Tactics", "simulate"]
