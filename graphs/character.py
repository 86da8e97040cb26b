"""What clusters that do harm are like, besides the harm: how large, how old, made over how long, held by what; and
what they write.

Harm is seen at a part of the operations only, and of a part of their members. Those that it is seen at teach what
such clusters look like in this data, and that is weighed at those it is not seen at: two views of one thing, of which
one teaches the other (Blum and Mitchell, "Combining labeled and unlabeled data with co-training", COLT 1998). A ridge
logistic regression on the probability of abuse by harm alone; what a cluster is told is of the others, without itself
(approximate leave-one-out: Rad and Maleki, JRSS B 2020), and bounded: likeness more than words, since it is nothing
done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from ringwatch.graphs.accounts import DAY, AccountTable, FloatArray, IntArray
from ringwatch.graphs.evidence import Model
from ringwatch.graphs.logistic import curvature, ridge_logistic
from ringwatch.graphs.teams import largest_share

RIDGE = 2.0
"""What the weight of a trait weighs, in clusters, that is one standard deviation of it."""

MOST, MOST_WORDING = 3.0, 6.0
"""The most, in bits, that likeness says for abuse or against it, and that wording does, which is a thing done."""

LEAST_CLUSTERS = 20
"""Fewer clusters, or accounts, teach nothing."""

LEAST_TOLD = 0.25
TOLD = 4
"""So many traits of a cluster are told, the strongest, and none of fewer bits than `LEAST_TOLD`."""

GROUPS = ("network", "payment", "device", "prompts", "organization")
"""Groups of layers whose part in holding a cluster together is a trait."""

CHARACTER = {
    "size": "It has {:.0f} members",
    "account_age": "The median of its accounts is {:.0f} days old",
    "made_over": "Days over which its accounts were made, the first and last tenth left out: {:.0f}",
    "activity": "Its median member has {:.0f} events",
    "one_customer": "{:.0%} of its members are of one organization id",
    "wording": "By its words, what its median member sent unflagged is of a kind of which {:.1%} is flagged",
    **{f"held_by_{group}": f"Its pairs have {{:.1f}} bits each from layers of {group}" for group in GROUPS},
}
"""Layers of evidence for and against abuse, with the sentence that tells of each."""


@dataclass(frozen=True)
class Trait:
    """One trait of all clusters, float64[clusters]: `value` as it is compared, `shown` as it is told."""

    layer: str
    value: FloatArray
    shown: FloatArray


def cluster_traits(
    accounts: AccountTable, model: Model, inside: IntArray, cluster: IntArray, count: int
) -> list[Trait]:
    """The traits of `count` clusters; those that are the same for all are left out.

    Args:
        inside: the pairs within clusters (positions in the model). cluster: of each account, -1 for none.
    """
    frame = accounts.frame
    member = np.flatnonzero(cluster >= 0)
    now = float(np.nanmax(frame["last_seen"].to_numpy(dtype=np.float64), initial=0.0))
    by = pd.DataFrame(
        {
            "cluster": cluster[member], "age": (now - accounts.created[member]) / DAY,
            "events": frame["events"].to_numpy(dtype=np.float64)[member],
        }
    )  # fmt: skip
    each = by.groupby("cluster")
    every = pd.RangeIndex(count)

    def known(column: pd.Series) -> FloatArray:
        value = column.reindex(every).to_numpy(dtype=np.float64)
        middle = np.nanmedian(value) if np.isfinite(value).any() else 0.0
        return np.asarray(np.nan_to_num(value, nan=float(middle)))

    size = known(each.size())
    age, spread = known(each["age"].median()), known(each["age"].quantile(0.9) - each["age"].quantile(0.1))
    events = known(each["events"].median())
    customer = largest_share(frame["org"].to_numpy(), cluster, count)
    young = np.log1p(np.maximum(age, 0))
    found = [
        Trait("size", np.log2(np.maximum(size, 1)), size),
        Trait("account_age", young, age),
        # Weeks are much among accounts of a month and little among those of years.
        Trait("made_over", np.log1p(np.maximum(spread, 0)) - young, spread),
        Trait("activity", np.log1p(events), events),
        Trait("one_customer", customer, customer),
    ]
    of_pair = cluster[model.first[inside]]
    pairs = np.maximum(np.bincount(of_pair, minlength=count), 1)
    for group in GROUPS:
        if group in model.groups:
            bits = np.bincount(of_pair, np.maximum(model.group_bits(group)[inside], 0.0), minlength=count) / pairs
            found.append(Trait(f"held_by_{group}", np.log1p(bits), bits))
    return [trait for trait in found if count and np.ptp(trait.value) > 0]


def wording_trait(wording: FloatArray, cluster: IntArray, count: int) -> list[Trait]:
    """How often what is written like the median member of each of `count` clusters is flagged, from that of accounts
    (`AccountTable.wording`); nothing where nothing is known of it. Of the median, since one member who tries things
    out is not what a group is for."""
    use = np.isfinite(wording) & (cluster >= 0)
    median = pd.Series(wording[use]).groupby(cluster[use]).median().reindex(pd.RangeIndex(count))
    return _wording(np.asarray(median, dtype=np.float64), wording)


def worded(wording: FloatArray, abuse: FloatArray) -> FloatArray:
    """Bits for "abusive" by what each account writes, as those that do harm teach it; float64[accounts]. `abuse` is
    the probability by what they did."""
    return _taught(_wording(wording, wording), abuse, MOST_WORDING)[0]


def _wording(shown: FloatArray, wording: FloatArray) -> list[Trait]:
    """The trait of groups, or of accounts, of which this is `shown`; those of which nothing is known are in the
    middle, where it says nothing."""
    known, there = wording[np.isfinite(wording)], np.isfinite(shown)
    if not there.any() or not known.any():
        return []
    value = np.log2(shown + known.mean() / 10)
    value[~there] = value[there].mean()
    return [Trait("wording", value, shown)] if np.ptp(value) > 0 else []


def likeness(traits: Sequence[Trait], abuse: FloatArray, *, most: float = MOST) -> tuple[FloatArray, pd.DataFrame]:
    """Bits that what a cluster is like adds to those for "this cluster is abusive", and the reasons: cluster,
    against, layer, bits, text.

    Args:
        abuse: float64[clusters], the probability from what members did. most: the bound of the bits, either way.
    """
    bits, parts = _taught(traits, abuse, most)
    return bits, _reasons(traits, parts) if parts.size else pd.DataFrame()


def _taught(traits: Sequence[Trait], abuse: FloatArray, most: float) -> tuple[FloatArray, FloatArray]:
    """What all traits add, at most `most` bits either way, and what each adds; float64[n], float64[n, traits]."""
    count = len(abuse)
    if count < LEAST_CLUSTERS or not traits:
        return np.zeros(count), np.zeros((count, 0))
    raw = np.column_stack([trait.value for trait in traits])
    x = np.column_stack([np.ones(count), (raw - raw.mean(axis=0)) / raw.std(axis=0)])
    ridge = np.r_[1e-6, np.full(len(traits), RIDGE)]
    weight = ridge_logistic(x, abuse, ridge)
    p = expit(x @ weight)
    pull = np.linalg.solve(curvature(x, p * (1 - p), ridge), x.T).T
    lever = np.minimum(np.einsum("ij,ij->i", pull, x) * p * (1 - p), 0.9)
    without = weight - pull * ((abuse - p) / (1 - lever))[:, None]
    parts = without[:, 1:] * x[:, 1:] / np.log(2)
    total = parts.sum(axis=1)
    bits = np.clip(total, -most, most)
    parts *= np.divide(bits, total, out=np.ones(count), where=np.abs(total) > most)[:, None]
    return bits, parts


def _reasons(traits: Sequence[Trait], parts: FloatArray) -> pd.DataFrame:
    strongest = np.argsort(-np.abs(parts), axis=1, kind="stable")[:, :TOLD]
    cluster, place = np.nonzero(np.abs(np.take_along_axis(parts, strongest, axis=1)) >= LEAST_TOLD)
    trait = strongest[cluster, place]
    bits = parts[cluster, trait].round(3)
    text = [
        f"{CHARACTER[traits[t].layer].format(traits[t].shown[c])}; clusters like that do"
        f" {'more' if worth > 0 else 'less'} harm in this data ({worth:+.1f} bits for abuse)."
        for c, t, worth in zip(cluster.tolist(), trait.tolist(), bits.tolist(), strict=True)
    ]
    layer = pd.Series([traits[t].layer for t in trait.tolist()], dtype=object)
    return pd.DataFrame(
        {
            "cluster": cluster, "against": bits < 0, "layer": layer,
            "bits": bits, "text": pd.Series(text, dtype=object), "entity_layer": None, "entity": -1, "accounts": 0,
        }
    )  # fmt: skip
