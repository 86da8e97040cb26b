"""What a parsed statement is made of, as far as anybody asks: patterns, and what is projected where."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Node:
    """A node of a pattern: its variable, the names in its label expression, the properties that its map gives a text
    or a parameter. `at`: the character at which a variable would stand."""

    variable: str | None
    labels: frozenset[str]
    keys: frozenset[str]
    at: int


@dataclass(frozen=True)
class Edge:
    """An edge of a pattern between the nodes before and after it. `forward` None: either way. `many`: a path of more
    than one edge may stand there."""

    types: frozenset[str]
    before: Node
    after: Node
    forward: bool | None
    many: bool


@dataclass
class Match:
    """The patterns of a MATCH."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)


@dataclass(frozen=True)
class Item:
    """An item of WITH or RETURN: the name that it is given, the variable that it is and no more, whether it
    aggregates."""

    name: str | None
    variable: str | None
    aggregates: bool


@dataclass(frozen=True)
class Projection:
    """A WITH or RETURN. `end`: the character at which its last item has ended."""

    distinct: bool
    star: bool
    items: tuple[Item, ...]
    end: int

    @property
    def aggregates(self) -> bool:
        return any(item.aggregates for item in self.items)


Step = Match | Projection


@dataclass(frozen=True)
class Statement:
    """A statement: of each part of its union the steps, in their order. `summed`: what queries in braces count or
    collect, and lists of paths gather, for each row."""

    parts: tuple[tuple[Step, ...], ...]
    summed: tuple[Match, ...] = ()
