"""Clusters, scores and labels come in; figures with 95 % intervals go out.

`evaluate` measures a stored run, `assess` any tables, `replay` how soon the log would have given an operation away,
`safeguards` what was refused of what did harm;
`ringwatch.evaluation.metrics` has the figures one by one.
"""

from __future__ import annotations

from ringwatch.evaluation.ablation import Ablation, headline
from ringwatch.evaluation.calibration import Calibration, reliability_chart
from ringwatch.evaluation.evaluate import EvaluationReport, KindRecovery, assess
from ringwatch.evaluation.intervals import Estimate
from ringwatch.evaluation.labels import read_benign_groups, read_labels, read_operations
from ringwatch.evaluation.peers import Peer
from ringwatch.evaluation.replay import Delay, Replay, delay_chart, replay
from ringwatch.evaluation.safeguards import Safeguards, refusal_chart, safeguards
from ringwatch.evaluation.stored import evaluate

__all__ = [
    "Ablation",
    "Calibration",
    "Delay",
    "Estimate",
    "EvaluationReport",
    "KindRecovery",
    "Peer",
    "Replay",
    "Safeguards",
    "assess",
    "delay_chart",
    "evaluate",
    "headline",
    "read_benign_groups",
    "read_labels",
    "read_operations",
    "refusal_chart",
    "reliability_chart",
    "replay",
    "safeguards",
]
