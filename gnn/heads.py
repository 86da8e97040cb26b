"""The head for clusters: from what a model says of the members, and the cluster's own shape, to its abuse.

A correction of the log odds that detection gives a cluster, by a logistic regression with a ridge: clusters with
labelled members are few, and where there are none nothing is corrected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from ringwatch.gnn.features import Evidence
from ringwatch.gnn.graph import FloatArray
from ringwatch.gnn.labels import ABUSIVE, BENIGN, Labels
from ringwatch.gnn.models.linear import with_intercept

RIDGE = 8.0
"""How many clusters the starting point, no correction, weighs against those that are labelled."""

FEWEST = 4
"""Fewer labelled clusters than this teach nothing."""

MOST = 4.0
"""Largest correction, in natural log odds."""


@dataclass(frozen=True)
class ClusterHead:
    """`weight` of `cluster_columns`, standardised by `mean` and `spread`; no correction where empty."""

    mean: FloatArray
    spread: FloatArray
    weight: FloatArray

    def shift(self, evidence: Evidence, z: FloatArray) -> FloatArray:
        """Correction of each cluster's log odds of abuse; float64[clusters]."""
        if len(self.weight) == 0 or len(evidence.size) == 0:
            return np.zeros(len(evidence.size))
        x = (cluster_columns(evidence, z) - self.mean) / self.spread
        return np.asarray(np.clip(x @ self.weight, -MOST, MOST))


NO_HEAD = ClusterHead(np.zeros(0), np.ones(0), np.zeros(0))


def cluster_columns(evidence: Evidence, z: FloatArray) -> FloatArray:
    """Of each cluster: mean and greatest log odds of its members, those of its own abuse, log size, strength,
    coordination; float64[clusters, 6]."""
    inside = evidence.cluster >= 0
    of, count = evidence.cluster[inside], len(evidence.size)
    mean = np.bincount(of, z[inside], minlength=count) / np.maximum(evidence.size, 1)
    top = np.full(count, -np.inf)
    np.maximum.at(top, of, z[inside])
    return np.column_stack(
        [mean, top, _odds(evidence.abuse), np.log(evidence.size), evidence.strength, evidence.coordination]
    )


def fit_head(evidence: Evidence, z: FloatArray, labels: Labels) -> ClusterHead:
    """Learns from clusters with labelled members: abusive where more of them are than are benign.

    `z` are log odds by models that did not see the labels of the account's own operation.
    """
    count = len(evidence.size)
    inside = evidence.cluster >= 0
    said = [
        np.bincount(evidence.cluster[inside], (labels.label == kind)[inside], minlength=count)
        for kind in (ABUSIVE, BENIGN)
    ]
    known = np.flatnonzero((said[0] + said[1]) > 0)
    if len(known) < FEWEST or np.isnan(evidence.abuse).any():
        return NO_HEAD
    columns = cluster_columns(evidence, z)
    mean, spread = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-6)
    x = (columns - mean) / spread
    # A cluster that nobody looked at is as abusive as detection says: it holds the correction in place.
    odds = _odds(evidence.abuse)
    target = expit(odds)
    target[known] = said[0][known] > said[1][known]
    weight, _ = with_intercept(x, target, np.ones(count), odds, ridge=RIDGE)
    return ClusterHead(mean, spread, weight)


def _odds(chance: FloatArray) -> FloatArray:
    return np.asarray(logit(np.clip(np.nan_to_num(chance, nan=0.5), 1e-4, 1 - 1e-4)))
