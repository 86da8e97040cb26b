"""Aggregates over few accounts are withheld (docs/adr/0025).

A statement that aggregates is given columns more: how many distinct accounts each of its rows is made from, and how
many of these are in no open case. A row made from one account or more but fewer than k, of which any is in no open
case, is not shown. The rule is for what is said of everybody: a statement that starts at a node by its name, like
`(a:Account {id: 'x'})`, looks at that node, and may do so row by row as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ringwatch.errors import PolicyError
from ringwatch.graphs.schema import EDGES, NODES
from ringwatch.graphs.store.base import Result
from ringwatch.queries.statement import Edge, Match, Node, Projection, Statement, Step

_COUNT, _OUTSIDE, _NODE, _KEPT, CASES = "ringwatch_k", "ringwatch_o", "ringwatch_n", "ringwatch_a", "ringwatch_cases"
_NAMES_ONE = frozenset({"id", "token"})
_NAMES_MANY = frozenset({"Run"})
"""Labels whose nodes stand for no party."""


@dataclass(frozen=True)
class Anonymity:
    """Rows made from fewer than `k` accounts are withheld, unless all of these accounts are in `cases`."""

    k: int = 5
    cases: Collection[str] = ()


@dataclass(frozen=True)
class Answer:
    """Rows of a query. `withheld`: how many more there are that were made from too few accounts."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool = False
    withheld: int = 0


def protect(cypher: str, statement: Statement, anonymity: Anonymity) -> tuple[str, dict[str, Any]]:
    """The statement with the columns that `withhold` reads, and the parameters that it takes more.

    Raises:
        PolicyError: it sums up accounts where no column can say how many.
    """
    if anonymity.k <= 1 or all(_looks_at_one(part) for part in statement.parts):
        return cypher, {}
    if any("Account" in labels for match in statement.summed for _, labels in _labels(match, {})):
        raise PolicyError(
            f"A query in braces or a list of paths sums up accounts, of which there may be fewer than {anonymity.k}.",
            hint="MATCH them and count(…): rows made from few are withheld. Or begin at a node by its id or token.",
        )
    if not any(_aggregates(part) for part in statement.parts):
        return cypher, {}
    inserted: list[tuple[int, str]] = []
    kinds = (_COUNT, _OUTSIDE) if anonymity.cases else (_COUNT,)
    shown = [_protect_part(part, kinds, inserted) for part in statement.parts]
    # The parts of a union have the same columns.
    most = max(shown)
    for part, count in zip(statement.parts, shown, strict=True):
        more = "".join(f", 0 AS {kind}{n}" for n in range(count, most) for kind in kinds)
        inserted.append((_last(part).end, more))
    for at, text in sorted(inserted, key=lambda pair: -pair[0]):
        cypher = cypher[:at] + text + cypher[at:]
    return cypher, {CASES: sorted(anonymity.cases)} if anonymity.cases and most else {}


def withhold(result: Result, anonymity: Anonymity) -> Answer:
    """The rows that may be shown, without the columns that `protect` put there."""
    names = result.columns
    counts = [at for at, name in enumerate(names) if name.startswith(_COUNT)]
    outside = [at for at, name in enumerate(names) if name.startswith(_OUTSIDE)]
    if not counts:
        return Answer(names, result.rows, result.truncated)
    hidden = {*counts, *outside, *(at for at, name in enumerate(names) if name.startswith(_KEPT))}
    own = [at for at in range(len(names)) if at not in hidden]

    def few(row: list[Any]) -> bool:
        most = max(row[at] or 0 for at in counts)
        return 0 < most < anonymity.k and any(row[at] for at in outside or counts)

    kept = [[row[at] for at in own] for row in result.rows if not few(row)]
    return Answer([names[at] for at in own], kept, result.truncated, len(result.rows) - len(kept))


def _last(part: tuple[Step, ...]) -> Projection:
    last = part[-1]
    assert isinstance(last, Projection)  # noqa: S101 (a part ends with RETURN)
    return last


def _looks_at_one(part: tuple[Step, ...]) -> bool:
    nodes = (node for step in part if isinstance(step, Match) for node in step.nodes)
    return any(node.keys & _NAMES_ONE and not node.labels & _NAMES_MANY for node in nodes)


def _aggregates(part: tuple[Step, ...]) -> bool:
    return any(isinstance(step, Projection) and step.aggregates for step in part)


def _protect_part(part: tuple[Step, ...], kinds: tuple[str, ...], inserted: list[tuple[int, str]]) -> int:
    """Notes what to insert in one part of a union; how many counts it returns then."""
    known: dict[str, set[str]] = {}  # the labels that each variable can have
    accounts: dict[str, str] = {}  # variables that stand for accounts, in the order of the text, and their ids
    carried, kept = 0, 0
    if not _aggregates(part) or _looks_at_one(part):
        return 0
    for step in part:
        if isinstance(step, Match):
            accounts |= _accounts(step, known, inserted)
            continue
        named = {item.variable: item.name for item in step.items if item.variable and item.name}
        lost = [] if step.star or step is part[-1] else [one for one in accounts if one not in named]
        items: list[list[str]] = []
        if step.aggregates or step.distinct:
            if step.star and any(one.startswith(_KEPT) for one in accounts):
                raise PolicyError(
                    "What * stands for comes from accounts that an earlier WITH has left out, and cannot be counted.",
                    hint="Name the columns.",
                )
            summed = accounts if step.aggregates else lost
            items += [[_counted(accounts[one], kind) for kind in kinds] for one in summed]
            lost = []
        if not step.star:  # else what is carried is in the star
            form = "max({})" if step.aggregates or step.distinct else "{}"
            items += [[form.format(f"{kind}{n}") for kind in kinds] for n in range(carried)]
        first = carried if step.star else 0
        columns = [
            f", {column} AS {kind}{n}"
            for n, item in enumerate(items, first)
            for kind, column in zip(kinds, item, strict=True)
        ]
        # Of an account whose properties alone go on its id goes on with them.
        ids = [f"{_KEPT}{n}" for n in range(kept, kept + len(lost))]
        columns += [f", {accounts[one]} AS {name}" for one, name in zip(lost, ids, strict=True)]
        inserted.append((step.end, "".join(columns)))
        carried, kept = first + len(items), kept + len(lost)
        if not step.star:
            known = {name: known[one] for one, name in named.items() if one in known}
            accounts = {name: _id(name) for one, name in named.items() if one in accounts} | {one: one for one in ids}
    return carried


def _id(variable: str) -> str:
    return f"`{variable}`.id"


def _counted(one: str, kind: str) -> str:
    return f"count(DISTINCT {one if kind == _COUNT else f'CASE WHEN NOT {one} IN ${CASES} THEN {one} END'})"


def _accounts(match: Match, known: dict[str, set[str]], inserted: list[tuple[int, str]]) -> dict[str, str]:
    """The variables of a MATCH that stand for accounts, with their ids; a node that has none is given one. Notes what
    labels its variables can have."""
    found: dict[str, str] = {}
    for node, labels in _labels(match, known):
        if node.variable is not None:
            known[node.variable] = labels
        if "Account" not in labels:
            continue
        variable = node.variable
        if variable is None:
            variable = f"{_NODE}{node.at}"
            inserted.append((node.at, variable))
        found[variable] = _id(variable)
    return found


def _labels(match: Match, known: Mapping[str, set[str]]) -> list[tuple[Node, set[str]]]:
    """Which labels each node of a MATCH can have, by its own, by the edges that lead to it, and by what is `known` of
    its variable."""
    can: dict[object, set[str]] = {name: set(labels) for name, labels in known.items()}
    for node in match.nodes:
        named = {label for label in node.labels if label in NODES} or set(NODES)
        can[_key(node)] = can.get(_key(node), set(NODES)) & named
    narrowed = True
    while narrowed:
        narrowed = False
        for edge in match.edges:
            before, after = can[_key(edge.before)], can[_key(edge.after)]
            if edge.many:
                continue
            pairs = [(one, other) for one, other in _ends(edge) if one in before and other in after]
            for ends, labels in ((before, {one for one, _ in pairs}), (after, {other for _, other in pairs})):
                narrowed |= bool(ends - labels)
                ends.intersection_update(labels)
    return [(node, can[_key(node)]) for node in match.nodes]


def _key(node: Node) -> object:
    return node.variable if node.variable is not None else node.at


def _ends(edge: Edge) -> list[tuple[str, str]]:
    tables = [EDGES[name] for name in edge.types if name in EDGES] or list(EDGES.values())
    forward = [(table.src, table.dst) for table in tables]
    backward = [(dst, src) for src, dst in forward]
    return {True: forward, False: backward, None: [*forward, *backward]}[edge.forward]
