"""Clusters, scores and labels come in; figures with 95 % intervals go out.

`evaluate` measures a stored run, `assess` any tables; `ringwatch.evaluation.metrics` has the figures one by one.
"""

from __future__ import annotations

from ringwatch.evaluation.evaluate import EvaluationReport, KindRecovery, assess
from ringwatch.evaluation.intervals import Estimate
from ringwatch.evaluation.labels import read_labels, read_operations

__all__ = [
    "Estimate",
    "EvaluationReport",
    "KindRecovery",
    "assess",
    "read_labels",
    "read_operations",
]
