"""Communities are connected, the same for the same seed, keep a chain whole and let go of who hangs on by one bit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations, pairwise

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ringwatch.graphs.communities import find_communities

Edge = tuple[int, int, float]


def _found(
    n: int, edges: list[Edge], seed: int = 1, words: Collection[Edge] = (), customer: Sequence[int] = ()
) -> list[int]:
    """`words`: which of the edges are what both ends wrote; `customer`: that of each node, if any."""
    first, second = (np.array([edge[side] for edge in edges], dtype=np.int64) for side in (0, 1))
    weight = np.array([edge[2] for edge in edges], dtype=np.float64)
    written = np.array([edge in words for edge in edges], dtype=np.bool_)
    whose = np.array(customer or [-1] * n, dtype=np.int64)
    found: list[int] = find_communities(n, first, second, weight, written, whose, seed=seed).tolist()
    return found


def _clique(nodes: range, bits: float) -> list[Edge]:
    return [(a, b, bits) for a, b in combinations(nodes, 2)]


def _ring(nodes: range, bits: float) -> list[Edge]:
    return [*((a, b, bits) for a, b in pairwise(nodes)), (nodes[0], nodes[-1], bits)]


def test_no_edges_and_loners() -> None:
    assert _found(3, []) == [-1, -1, -1]
    assert _found(4, [(1, 3, 2.0)]) == [-1, 0, -1, 0]


def test_two_rings_and_a_weak_bridge_are_two_communities() -> None:
    edges = [*_clique(range(8), 10.0), *_clique(range(8, 18), 12.0), (3, 12, 1.0)]
    assert _found(18, edges) == [0] * 8 + [1] * 10


def test_customers_of_one_community_are_parts_of_it_and_those_of_none_go_where_they_are_tied_most() -> None:
    edges = [*_clique(range(9), 6.0), (9, 8, 5.0), (9, 0, 4.0), (10, 9, 5.0)]
    assert _found(11, edges) == [0] * 11
    front, other = [7] * 5, [4] * 4
    assert _found(11, edges, customer=[*front, *other, -1, -1]) == [0] * 5 + [1] * 6
    assert _found(11, edges, customer=[*front, 4, 4, 5, 5, -1, -1]) == [0] * 11, "one or two of each are a thief's"
    assert _found(11, edges, customer=[7, 7, 7, 4, 4, *[-1] * 6]) == [0] * 11
    many = _clique(range(20), 6.0)
    assert _found(20, many, customer=[7] * 4 + [4] * 4 + [-1] * 12) == [0] * 20, "most of it is nobody's"


def test_a_chain_stays_whole() -> None:
    for length, bits in ((12, 5.0), (30, 8.0), (60, 9.0), (200, 11.0)):
        chain = [(a, b, bits) for a, b in pairwise(range(length))]
        assert set(_found(length, chain)) == {0}


def test_two_crowds_are_not_joined_by_the_one_pair_of_many_that_is_sure_by_chance() -> None:
    rings = [*_ring(range(60), 12.0), *_ring(range(60, 120), 12.0)]
    assert _found(120, [*rings, (10, 90, 6.0)]) == [0] * 60 + [1] * 60
    assert set(_found(120, [*rings, (10, 90, 12.0)])) == {0}
    assert set(_found(120, [*rings, (10, 90, 6.0), (30, 70, 6.0), (50, 110, 6.0)])) == {0}


def test_a_template_that_two_operations_share_ties_them_less_than_a_device_would() -> None:
    operations = [*_clique(range(8), 14.0), *_clique(range(8, 16), 14.0)]
    template = [(a, b, 4.0) for a in range(4) for b in range(8, 12)]
    assert set(_found(16, [*operations, *template])) == {0}
    assert _found(16, [*operations, *template], words=template) == [0] * 8 + [1] * 8


def test_what_words_alone_tie_is_two_where_each_side_holds_itself_better() -> None:
    rings, across = (
        [*_clique(range(8), 6.0), *_clique(range(8, 16), 4.0)],
        [(a, b) for a in range(8) for b in range(8, 16)],
    )
    loosely, closely = ([(a, b, bits) for a, b in across] for bits in (2.0, 3.5))
    assert _found(16, [*rings, *loosely], words=[*rings, *loosely]) == [0] * 8 + [1] * 8
    assert _found(16, [*rings, *loosely]) == [0] * 16, "what is not copied ties them"
    assert _found(16, [*rings, *closely], words=[*rings, *closely]) == [0] * 16
    cells = [edge for start in range(0, 12, 3) for edge in _clique(range(start, start + 3), 6.0)]
    among = [(a, b, 3.0) for a, b in combinations(range(12), 2) if a // 3 != b // 3]
    assert _found(12, [*cells, *among], words=among) == [0] * 12, "cells of three"


def test_words_alone_tie_those_who_have_nothing_else() -> None:
    farm = _clique(range(12), 3.0)
    assert set(_found(12, farm, words=farm)) == {0}
    chain = [(a, b, 9.0) for a, b in pairwise(range(30))]
    assert set(_found(30, chain, words=chain)) == {0}


def test_doubtful_pairs_hold_together_who_have_several_of_them_and_one_holds_nothing() -> None:
    assert set(_found(6, _clique(range(6), -1.5))) == {0}
    assert _found(13, [*_clique(range(12), 8.0), (3, 12, -1.5)])[12] == -1


def test_one_who_hangs_on_by_a_bit_is_let_go_and_a_weakly_tied_ring_is_kept() -> None:
    assert _found(13, [*_clique(range(12), 15.0), (4, 12, 0.5)])[12] == -1
    assert set(_found(4, _clique(range(4), 0.5))) == {0}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24), st.floats(0.01, 30)), max_size=80),
    st.integers(0, 3),
)
def test_communities_are_connected_and_repeat_themselves(drawn: list[Edge], seed: int) -> None:
    edges = list({(min(a, b), max(a, b)): (min(a, b), max(a, b), bits) for a, b, bits in drawn if a != b}.values())
    found = _found(25, edges, seed, edges[::2])
    assert found == _found(25, edges, seed, edges[::2])
    graph = nx.Graph([(a, b) for a, b, _ in edges])
    for community in set(found) - {-1}:
        members = [node for node, of in enumerate(found) if of == community]
        assert len(members) > 1
        assert nx.is_connected(graph.subgraph(members))
    firsts = [found.index(community) for community in sorted(set(found) - {-1})]
    assert firsts == sorted(firsts)
