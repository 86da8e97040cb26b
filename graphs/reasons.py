"""Why a cluster is one: reasons for and against, by layer, in bits a pair, each with a sentence; in columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ringwatch.graphs.accounts import BoolArray, FloatArray, IntArray
from ringwatch.graphs.evidence import Contrast, Model, Reason
from ringwatch.graphs.ordered import first_of_run

# The stubs of pyarrow do not know what most kernels return.
_kernels: Any = pc

MIN_BITS = 0.05
"""Evidence of less than this on average is not worth a sentence of its own."""

LEAST_TOLD = 0.005
"""What is left over is told from so many bits on: the reasons add up to what the cluster says."""

FOR, AGAINST = 6, 4
"""So many reasons for and against are told one by one; what is left is summed up in one."""

_ABSENT = {
    "payment": "No payment instrument in common though both paid",
    "device": "No device in common though devices of both are known",
    "network": "No address in common though addresses of both are known",
    "email": "No mailbox pattern in common",
    "phone": "No phone number in common",
    "prompts": "No family of prompts in common though both sent prompts",
    "tools": "No tool chain or target in common though both ran tools",
    "organization": "Different organization ids",
    "signup": "No burst of sign-ups in common though both signed up in one",
}
_COLUMNS = ["cluster", "layer", "bits", "text", "entity", "accounts"]


def reasons(model: Model, inside: IntArray, of_edge: IntArray, count: int) -> tuple[pd.DataFrame, list[list[str]]]:
    """What speaks for and against each cluster, and the layers that speak for each, strongest first.

    Args:
        inside: the standing pairs within clusters (positions in the model). of_edge: the cluster of each.

    Returns:
        cluster, against, layer, bits (mean over the cluster's standing pairs: with the prior they add up to its
        bits), text, entity (dense, of the layer; -1 for none), entity_layer, accounts; the layers of each cluster.
    """
    edges = np.bincount(of_edge, minlength=count)
    told = [pd.DataFrame({name: [] for name in _COLUMNS})]
    for reason in model.explain(inside):
        if len(reason.at):
            told.append(_of_layer(model, reason, inside, of_edge, edges))
    table = pd.concat(told, ignore_index=True) if len(told) > 1 else told[0]
    for name in ("cluster", "entity", "accounts"):
        table[name] = table[name].astype(np.int64)
    table["bits"] = table["bits"].astype(np.float64)
    speaks = table[table["bits"] >= MIN_BITS].sort_values(["cluster", "bits", "layer"], ascending=[True, False, True])
    layers = _lists(speaks["cluster"].to_numpy(), speaks["layer"].to_numpy(dtype=object), count)
    table = pd.concat([_handful(table), _prior(model, count)], ignore_index=True)
    table["against"] = table["bits"] < 0
    table["entity_layer"] = table["layer"].where(table["entity"] >= 0)
    order = np.lexsort((table["layer"].to_numpy().astype(str), -table["bits"].abs().to_numpy(), table["cluster"]))
    return table.iloc[order].reset_index(drop=True), layers


def edge_layers(model: Model, pairs: IntArray) -> list[list[str]]:
    """The layers that speak for each pair, strongest first."""
    parts = [(reason.at, reason.bits, reason.name) for reason in model.explain(pairs)]
    at = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0, dtype=np.int64)
    bits = np.concatenate([part[1] for part in parts]) if parts else np.zeros(0)
    names = np.array(sorted({part[2] for part in parts}), dtype=object)
    code = np.concatenate([np.full(len(a), np.searchsorted(names, name)) for a, _, name in parts]) if parts else at
    strong = bits > MIN_BITS
    at, bits, code = at[strong], bits[strong], code[strong]
    order = np.lexsort((code, -bits, at))
    return _lists(at[order], names[code[order]], len(pairs))


def _lists(at: IntArray, names: npt.NDArray[np.object_], count: int) -> list[list[str]]:
    """Names by position; `at` rises."""
    offsets = np.searchsorted(at, np.arange(count + 1)).astype(np.int32)
    build: Any = pa.ListArray.from_arrays
    found: list[list[str]] = build(pa.array(offsets), pa.array(names, pa.string())).to_pylist()
    return found


def _of_layer(model: Model, reason: Reason, inside: IntArray, of_edge: IntArray, edges: IntArray) -> pd.DataFrame:
    cluster = of_edge[reason.at]
    present, place, pairs = np.unique(cluster, return_inverse=True, return_counts=True)
    bits = np.bincount(place, reason.bits) / edges[present]
    share = pairs / edges[present]
    order = np.lexsort((reason.entity, -reason.bits, place))
    top = reason.entity[order[np.searchsorted(place[order], np.arange(len(present)))]]
    ends = np.concatenate([model.first[inside[reason.at]], model.second[inside[reason.at]]])
    accounts = _distinct(np.concatenate([place, place]), ends, len(present))
    if reason.kind == "shared":
        kinds = _distinct(place, np.maximum(reason.entity, 0), len(present))
        text = _shared_text(reason.text, accounts, kinds, share, bits, _common(model, reason.name, top))
    elif reason.kind == "absent":
        text = _absent_text(reason.name, share, bits)
    else:
        (contrast,) = (one for one in [*model.contrasts, *model.presence.values()] if one.name == reason.name)
        text = _contrast_text(contrast, contrast.band[inside[reason.at]], place, bits)
    return pd.DataFrame(
        {
            "cluster": present, "layer": f"no_{reason.name}" if reason.kind == "absent" else reason.name,
            "bits": bits.round(3), "text": text.to_pandas().to_numpy(dtype=object),
            "entity": top, "accounts": accounts,
        }
    )  # fmt: skip


def _distinct(group: IntArray, value: IntArray, groups: int) -> IntArray:
    """Distinct values by group."""
    keys = group * (int(value.max(initial=0)) + 1) + value
    keys.sort()
    return np.bincount(keys[first_of_run(keys)] // (int(value.max(initial=0)) + 1), minlength=groups).astype(np.int64)


def _common(model: Model, name: str, entity: IntArray) -> BoolArray:
    (layer,) = (one for one in model.shared if one.name == name)
    if len(layer.common) == 0:
        return np.zeros(len(entity), dtype=np.bool_)
    return np.asarray(layer.common[entity])


# -- sentences -----------------------------------------------------------------------------------------------------


def _written(values: npt.NDArray[Any], form: Callable[[Any], str]) -> Any:
    """Each value as text; only distinct values are formatted."""
    distinct, back = np.unique(values, return_inverse=True)
    texts: Any = pa.array([form(value) for value in distinct.tolist()], pa.string())
    return texts.take(pa.array(back.ravel().astype(np.int64)))


def _joined(*parts: Any) -> Any:
    return _kernels.binary_join_element_wise(*parts, "")


def _bits(bits: FloatArray) -> Any:
    return _written(np.round(bits, 1) + 0.0, "{:+.1f} bits a pair".format)


def _share(share: FloatArray) -> Any:
    return _written(np.round(100 * share).astype(np.int64), "{} % of the linked pairs".format)


def _shared_text(
    subject: str, accounts: IntArray, kinds: IntArray, share: FloatArray, bits: FloatArray, common: BoolArray
) -> Any:
    several = "" if subject.startswith("a direct") else " ({} different ones)"
    times = _written(kinds, lambda n: several.format(n) if several and n > 1 else "")
    known = _written(common, lambda yes: "; strangers are known to share it" if yes else "")
    return _joined(
        _written(accounts, "{} accounts share ".format),
        subject,
        times,
        ", in ",
        _share(share),
        known,
        " (",
        _bits(bits),
        ").",
    )


def _absent_text(group: str, share: FloatArray, bits: FloatArray) -> Any:
    start = _ABSENT.get(group, f"No {group.replace('_', ' ')} in common though both have some")
    return _joined(_written(share, lambda _: start), ": ", _share(share), " (", _bits(bits), ").")


def _contrast_text(contrast: Contrast, band: npt.NDArray[np.int8], place: IntArray, bits: FloatArray) -> Any:
    """Names the band in the middle of the cluster's pairs."""
    order = np.lexsort((band, place))
    begin = np.searchsorted(place[order], np.arange(len(bits)))
    sizes = np.diff(np.append(begin, len(order)))
    middle = band[order[begin + sizes // 2]].astype(np.int64)
    return _joined(contrast.text, " ", _written(middle, contrast.bands.__getitem__), " (", _bits(bits), ").")


def _prior(model: Model, count: int) -> pd.DataFrame:
    text = f"Of all pairs of accounts about one in 2^{-model.prior:.1f} has one operator ({model.prior:+.1f} bits)."
    return pd.DataFrame(
        {
            "cluster": np.arange(count), "layer": "prior", "bits": round(model.prior, 3), "text": text,
            "entity": -1, "accounts": 0,
        }
    )  # fmt: skip


def _handful(table: pd.DataFrame) -> pd.DataFrame:
    """The strongest reasons of each cluster, and one row for the sum of the others."""
    rank = table.assign(side=table["bits"] < 0, size=-table["bits"].abs()).sort_values(
        ["cluster", "side", "size", "layer"], kind="stable"
    )
    place = rank.groupby(["cluster", "side"]).cumcount()
    told = (place < np.where(rank["side"], AGAINST, FOR)) & (rank["size"] <= -MIN_BITS)
    rest = rank[~told].groupby("cluster")["bits"].agg(["sum", "size"])
    rest = rest[rest["sum"].abs() >= LEAST_TOLD]
    number = rest["size"].to_numpy(dtype=np.int64)
    text = _joined(
        _written(number, "{} weaker reasons together (".format), _bits(rest["sum"].to_numpy(dtype=np.float64)), ")."
    )
    others = pd.DataFrame(
        {
            "cluster": rest.index.to_numpy(dtype=np.int64), "layer": "others",
            "bits": rest["sum"].to_numpy(dtype=np.float64).round(3), "text": text.to_pandas().to_numpy(dtype=object),
            "entity": -1, "accounts": 0,
        }
    )  # fmt: skip
    kept = rank.loc[told, _COLUMNS]
    return pd.concat([kept, others], ignore_index=True) if len(others) else kept
