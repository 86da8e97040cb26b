"""What a parsed statement is made of, as far as anybody asks: patterns, and what is projected where."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Node:
    """A node of a pattern: its variable, the names in its label expression, the properties that its map names."""

    variable: str | None
    labels: frozenset[str]
    keys: frozenset[str]


@dataclass(frozen=True)
class Edge:
    """An edge of a pattern between the nodes before and after it. `forward` None: either way."""

    types: frozenset[str]
    before: Node
    after: Node
    forward: bool | None


@dataclass
class Match:
    """A MATCH. `tokens`: where its WHERE begins and ends among the statement's tokens."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    where: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Item:
    """An item of WITH or RETURN: its name, if it has one, its text from `start` to `end`, whether it aggregates."""

    name: str | None
    start: int
    end: int
    aggregates: bool


@dataclass(frozen=True)
class Projection:
    """A WITH or RETURN. `distinct` is where the word DISTINCT ends, `end` where the last item ends."""

    keyword: str
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
    """A statement: of each part of its union the steps, in their order. `called`: the procedure of a CALL."""

    parts: tuple[tuple[Step, ...], ...]
    called: str | None = None
