"""Neighbourhoods are what brute force says, splits keep operations whole, and nothing later than a moment leaks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from ringwatch.gnn.graph import Direct, Graph, Through, strongest
from ringwatch.gnn.labels import ABUSIVE, BENIGN, UNKNOWN, Labels, digest, folds, latest, masks
from ringwatch.gnn.neighbours import feature_blocks, label_block
from ringwatch.gnn.task import columns, make_task
from ringwatch.graphs.scores import drawn_together
from ringwatch.pipeline import rehearse
from ringwatch.pipeline.training import prepare
from ringwatch.workspace import Workspace

from .conftest import Ingester

START = datetime(2026, 3, 1, tzinfo=UTC)
Rows = list[dict[str, Any]]


def _through(seed: int = 0) -> tuple[Through, np.ndarray]:
    rng = np.random.default_rng(seed)
    has = rng.random((30, 12)) < 0.2
    account, entity = np.nonzero(has)
    weight = rng.uniform(0, 5, 12)
    return Through("ip", account, entity, weight, 30), has


def test_a_mean_through_entities_is_that_over_the_pairs_it_stands_for() -> None:
    relation, has = _through()
    values = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32)
    mean = relation.mean(values)
    for account in range(30):
        top, total = np.zeros(3), 0.0
        for entity in np.flatnonzero(has[account]):
            others = [other for other in np.flatnonzero(has[:, entity]) if other != account]
            if others:
                top += relation.weight[entity] * values[others].mean(axis=0)
                total += relation.weight[entity]
        np.testing.assert_allclose(mean[account], top / total if total else 0.0, atol=1e-4)
        assert relation.degree[account] == pytest.approx(total)


def test_a_direct_mean_is_weighted_and_nothing_where_there_is_no_neighbour() -> None:
    matrix = sp.csr_matrix(np.array([[0, 1, 3], [0, 0, 0], [2, 0, 0]], dtype=np.float32))
    mean = Direct("tie", matrix).mean(np.array([[1.0], [10.0], [20.0]], dtype=np.float32))
    np.testing.assert_allclose(mean[:, 0], [17.5, 0.0, 1.0])


def test_the_strongest_edges_of_each_target_are_kept() -> None:
    source, target = np.array([4, 1, 2, 3, 0]), np.array([0, 0, 0, 1, 0])
    weight = np.array([1.0, 5.0, 5.0, 0.1, 2.0], dtype=np.float32)
    kept = strongest(source, target, weight, 2)
    assert kept[0].tolist() == [1, 2, 3]
    assert kept[1].tolist() == [0, 0, 1]


def test_a_label_reaches_neighbours_and_never_its_own_account() -> None:
    matrix = sp.csr_matrix((np.ones(2, dtype=np.float32), ([0, 1], [1, 0])), shape=(3, 3))
    graph = Graph(
        np.array(["a", "b", "c"], dtype=object), np.zeros((3, 1), dtype=np.float32), ("x",), (Direct("tie", matrix),),
        np.zeros(3), (0,), 1,
    )  # fmt: skip
    label = np.array([ABUSIVE, UNKNOWN, UNKNOWN], dtype=np.int8)
    block = label_block(graph, label, label == ABUSIVE)
    at = block.names.index("labels abusive tie")
    assert block.values[:, at].tolist() == [0.0, 1.0, 0.0]
    hidden = label_block(graph, label, np.zeros(3, dtype=np.bool_))
    assert not hidden.values.any()


def _labels(seed: int = 0, *, dated: bool = True) -> Labels:
    rng = np.random.default_rng(seed)
    unit = np.sort(rng.integers(0, 60, 400))
    _, unit = np.unique(unit, return_inverse=True)
    abusive = np.isin(unit, np.arange(0, 60, 4)) & (rng.random(400) < 0.6)
    label = np.where(abusive, ABUSIVE, np.where(rng.random(400) < 0.1, BENIGN, UNKNOWN)).astype(np.int8)
    at = np.where(label >= 0, unit.astype(float) if dated else 1.0, np.nan)
    return Labels(label, unit.astype(np.int64), at)


def test_folds_keep_every_unit_whole_and_the_first_is_the_latest() -> None:
    labels = _labels()
    fold = folds(labels, 4, 3)
    for unit in np.unique(labels.unit):
        assert len(np.unique(fold[labels.unit == unit])) == 1
    late = latest(labels, 0.25)
    known = labels.label >= 0
    assert (fold[late] == 0).all()
    assert labels.at[known & late].min() > labels.at[known & ~late].max()
    held = np.bincount(fold[labels.label == ABUSIVE], minlength=4)
    assert held.min() > 0
    undated = folds(_labels(dated=False), 4, 3)
    counts = np.bincount(undated[labels.label == ABUSIVE], minlength=4)
    assert counts.min() > 0.5 * counts.mean()


def test_operations_that_share_a_community_are_one_unit() -> None:
    unit = drawn_together(np.array([0, 0, 1, -1, -1, -1]), np.array([-1, 5, 5, 7, 7, -1]))
    assert unit.tolist() == [0, 0, 0, 1, 1, 2]


def test_masks_hide_whole_units_and_some_of_every_other() -> None:
    labels = _labels()
    shown = list(masks(labels, 6, 0))
    assert all(not mask[labels.label == UNKNOWN].any() for mask in shown)
    known = labels.label >= 0
    hidden_whole = [
        sum(not mask[known & (labels.unit == unit)].any() for unit in np.unique(labels.unit[known])) for mask in shown
    ]
    assert min(hidden_whole) > 0
    assert np.any(shown, axis=0)[known].mean() > 0.7


def _world(ingester: Ingester, keys: Workspace | None, *, future: bool) -> Workspace:
    """Thirty accounts in rings of five; what comes after the moment tells who is abusive, in every table."""
    accounts: Rows = []
    events: Rows = []
    labels: Rows = []
    relations: Rows = []
    links: Rows = []
    moment = START + timedelta(days=30)
    for number in range(30):
        name, ring = f"a{number:02d}", number // 5
        accounts.append({"account_id": name, "created_at": START.isoformat(), "x_size": float(number)})
        for day in range(4):
            events.append(
                {
                    "event_id": f"{name}-{day}", "ts": (START + timedelta(days=day)).isoformat(), "account_id": name,
                    "kind": "chat", "ip": f"81.2.{ring}.4", "device_id": f"d{number}", "harm": "none",
                    "prompt": f"tell me about thing {number} and day {day} of the week in the town",
                }
            )  # fmt: skip
        labels.append(
            {
                "account_id": name, "label": "abusive" if ring < 2 else "benign", "group_id": f"g{ring}",
                "labelled_at": (START + timedelta(days=20)).isoformat(),
            }
        )  # fmt: skip
        if future and ring % 2 == 0:
            later = (moment + timedelta(days=1)).isoformat()
            events.append(
                {
                    "event_id": f"{name}-later", "ts": later, "account_id": name, "kind": "tool_call",
                    "ip": "9.9.9.9", "device_id": "shared", "harm": "fraud", "harm_score": 0.99, "refused": True,
                    "tool": "wire", "tool_args": '{"to": "them"}',
                }
            )  # fmt: skip
            labels.append({"account_id": name, "label": "abusive", "labelled_at": later, "group_id": "later"})
            relations.append({"src_account_id": name, "dst_account_id": "a00", "kind": "transfer", "ts": later})
            links.append({"account_id": name, "entity_type": "wallet", "entity_id": "one", "ts": later})
    workspace = ingester.workspace(keys_from=keys)
    tables: dict[str, list[dict[str, Any]]] = {"accounts": accounts, "events": events, "labels": labels}
    if future:
        tables |= {"relations": relations, "links": links}
    ingester.ingest(workspace, ingester.drop(tables, "jsonl"))
    return workspace


def test_what_comes_later_changes_no_feature_edge_or_label(ingester: Ingester) -> None:
    moment = START + timedelta(days=30)
    found = []
    workspace = None
    for future in (False, True):
        workspace = _world(ingester, workspace, future=future)
        with rehearse(workspace, as_of=moment, seed=1) as rehearsal:
            found.append(prepare(rehearsal))
    assert workspace is not None
    plain, planted = found
    assert plain.graph.names == planted.graph.names
    assert plain.graph.features.tobytes() == planted.graph.features.tobytes()
    assert digest(plain.labels) == digest(planted.labels)
    assert [one.name for one in plain.graph.relations] == [one.name for one in planted.graph.relations]
    for one, other in zip(plain.graph.relations, planted.graph.relations, strict=True):
        np.testing.assert_array_equal(one.degree, other.degree)
        if isinstance(one, Through) and isinstance(other, Through):
            np.testing.assert_array_equal(one.known, other.known)
            np.testing.assert_array_equal(one.seen, other.seen)
    ours, theirs = (feature_blocks(one.graph) for one in found)
    assert all(a.values.tobytes() == b.values.tobytes() for a, b in zip(ours, theirs, strict=True))
    with rehearse(workspace, seed=1) as rehearsal:
        later = prepare(rehearsal)
    assert later.graph.features.tobytes() != plain.graph.features.tobytes(), "the planted signal is there to be seen"
    assert (later.labels.label == ABUSIVE).sum() > (plain.labels.label == ABUSIVE).sum()


def test_rows_teach_where_their_label_is_hidden(
    make_graph: Callable[..., tuple[Graph, Labels]],
) -> None:
    graph, labels = make_graph()
    task = make_task(graph, feature_blocks(graph), labels, seed=0)
    everything = np.zeros(len(graph), dtype=np.bool_)
    for one in task.rounds:
        everything[one.rows] = True
    assert everything.all()
    assert (task.target[labels.label == ABUSIVE] == 1).all()
    assert (task.target[labels.label == BENIGN] == 0).all()
    hidden = task.target[labels.label == UNKNOWN]
    assert hidden.min() >= 0 and 0 < hidden.mean() < 0.5


def test_columns_that_a_graph_lacks_are_unknown(make_graph: Callable[..., tuple[Graph, Labels]]) -> None:
    graph, _ = make_graph()
    found = columns(feature_blocks(graph), [graph.names[0], "x_gone"])
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_array_equal(found[:, 0], graph.features[:, 0])
