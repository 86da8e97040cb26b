"""Parses the part of Cypher that reads, in the dialect of either store: the second half of the guard (docs/adr/0020).

A parser by recursive descent. Operators are taken as a flat row: what binds closer does not matter to what may be
asked. Where a clause, an operator or a closing bracket must follow, nothing else may: a clause word that is not known
here is refused for standing where it stands, and so is a function or a procedure for its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ringwatch.errors import PolicyError
from ringwatch.queries.lexer import Token, place, refused, tokenize
from ringwatch.queries.statement import Edge, Item, Match, Node, Projection, Statement, Step
from ringwatch.queries.vocabulary import (
    AGGREGATES,
    CLAUSES,
    FUNCTIONS,
    PROCEDURES,
    QUANTIFIERS,
    RESERVED,
    SHORTEST,
    WRITING,
)

MAX_DEPTH = 40
_STEPS_A_TOKEN = 200
"""A pattern in brackets is tried before an expression in brackets, so that what is nested is read more than once."""

_OPERATORS = ("<>", "<=", ">=", "||", "=", "<", ">", "+", "-", "*", "/", "%", "^")
_LITERALS = ("string", "parameter", "number")
_READS = "A query may MATCH, UNWIND, WITH and RETURN; a name like that belongs in backquotes."


def parse(text: str) -> Statement:
    """The statement.

    Raises:
        PolicyError: it does anything but read the graph, or cannot be told from one that would.
    """
    parser = _Parser(text)
    try:
        return parser.statement()
    except PolicyError as error:
        raise parser.nearest(error) from None


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._at = 0
        self._depth = 0
        self._left = 1000 + _STEPS_A_TOKEN * len(self._tokens)
        self._aggregated = False
        self._paths: list[Match] = []  # that stand for whether there are any
        self._summed: list[Match] = []
        self._tried_to = (0, refused("it cannot be read"))

    def nearest(self, error: PolicyError) -> PolicyError:
        """Of this error and those of rules that were given up, the one that came farthest: it says most."""
        return self._tried_to[1] if self._tried_to[0] > self._at else error

    # -- tokens ---------------------------------------------------------------------------------------

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _ahead(self, by: int = 1) -> Token:
        return self._tokens[min(self._at + by, len(self._tokens) - 1)]

    def _take(self) -> Token:
        self._left -= 1
        if self._left < 0:
            raise refused("it is nested in too many ways")
        token = self._token
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _signs(self, signs: str, by: int = 0) -> bool:
        """Whether these signs stand here, with nothing between them."""
        tokens = [self._ahead(by + at) for at in range(len(signs))]
        return all(
            token.kind == "sign" and token.text == sign and token.start == tokens[0].start + at
            for at, (token, sign) in enumerate(zip(tokens, signs, strict=True))
        )

    def _skip(self, signs: str) -> bool:
        if not self._signs(signs):
            return False
        for _ in signs:
            self._take()
        return True

    def _need(self, signs: str) -> None:
        if not self._skip(signs):
            raise self._unexpected(f"where '{signs}' must follow")

    def _said(self, *words: str) -> bool:
        """Takes these words, where they stand here one after the other."""
        if any(self._ahead(at).word != word for at, word in enumerate(words)):
            return False
        for _ in words:
            self._take()
        return True

    def _need_word(self, word: str) -> None:
        if not self._said(word):
            raise self._unexpected(f"where {word} must follow")

    def _unexpected(self, why: str) -> PolicyError:
        token = self._token
        where = place(self._text, token.start)
        if token.word in WRITING:
            return refused(f"{token.word} ({where}) is no reading clause", hint=_READS)
        if token.kind == "end":
            return refused("it ends too early" if token.end else "it is empty", hint="Complete it; end with RETURN.")
        # What stands in quotes may be anybody's data: it is not said again.
        what = "a text" if token.kind == "string" else f"'{token.text[:24]}'"
        return refused(f"{what} ({where}) stands {why}")

    def _name(self, what: str = "where a name must follow") -> str:
        token = self._token
        if token.kind == "quoted" or (token.word and token.word not in RESERVED):
            self._take()
            return _bare(token)
        raise self._unexpected(what)

    def _any_name(self) -> str:
        """A property, label or type: after a point or a colon every word is one."""
        if self._token.kind not in ("word", "quoted"):
            raise self._unexpected("where a property or label must follow")
        return _bare(self._take())

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise refused(f"it is nested deeper than {MAX_DEPTH} levels")
        try:
            yield
        finally:
            self._depth -= 1

    def _tried(self, rule: Callable[[], object]) -> bool:
        """Whether the rule fits here; where it does not, nothing is taken."""
        at, depth, aggregated = self._at, self._depth, self._aggregated
        paths, summed = len(self._paths), len(self._summed)
        try:
            rule()
        except PolicyError as error:
            if self._left < 0:
                raise
            self._tried_to = max(self._tried_to, (self._at, error), key=lambda pair: pair[0])
            self._at, self._depth, self._aggregated = at, depth, aggregated
            del self._paths[paths:], self._summed[summed:]
            return False
        return True

    # -- clauses --------------------------------------------------------------------------------------

    def statement(self) -> Statement:
        parts = self._call() if self._token.word == "CALL" else self._union()
        while self._skip(";"):
            pass
        if self._token.kind != "end":
            if self._tokens[self._at - 1].text == ";":
                raise refused("it is more than one statement")
            raise self._unexpected("where a clause must follow")
        return Statement(parts, tuple(self._summed))

    def _union(self, *, inner: bool = False) -> tuple[tuple[Step, ...], ...]:
        parts = [self._single(inner=inner)]
        while self._said("UNION"):
            if not self._said("ALL"):
                self._said("DISTINCT")
            parts.append(self._single(inner=inner))
        return tuple(parts)

    def _single(self, *, inner: bool) -> tuple[Step, ...]:
        """Clauses to RETURN; inside braces a query may do without."""
        steps: list[Step] = []
        start = self._at
        while True:
            word = self._token.word
            if word == "MATCH" or (word == "OPTIONAL" and self._ahead().word == "MATCH"):
                self._said("OPTIONAL")
                self._take()
                steps.append(self._match())
            elif self._said("UNWIND"):
                self._expression()
                self._need_word("AS")
                self._name()
            elif word in ("WITH", "RETURN"):
                steps.append(self._projection())
                if word == "RETURN":
                    return tuple(steps)
            elif inner and self._at > start:
                return tuple(steps)
            else:
                raise self._unexpected("where MATCH, UNWIND, WITH or RETURN must follow")

    def _match(self) -> Match:
        found = Match()
        self._pattern(found)
        while self._skip(","):
            self._pattern(found)
        if self._said("WHERE"):
            self._expression()
        return found

    def _projection(self) -> Projection:
        keyword = self._take().word
        distinct = self._said("DISTINCT")
        items: list[Item] = []
        star = self._skip("*")
        while not (star or items) or self._skip(","):
            items.append(self._item())
        end = self._tokens[self._at - 1].end
        if self._said("ORDER", "BY"):
            self._sorted()
            while self._skip(","):
                self._sorted()
        while self._token.word in ("SKIP", "OFFSET", "LIMIT"):
            self._take()
            self._expression()
        if keyword == "WITH" and self._said("WHERE"):
            self._expression()
        return Projection(distinct, star, tuple(items), end)

    def _item(self) -> Item:
        start, at = self._token, self._at
        before, self._aggregated = self._aggregated, False
        self._expression()
        aggregates, self._aggregated = self._aggregated, before
        variable = _bare(start) if self._at == at + 1 and start.kind in ("word", "quoted") else None
        name = self._name() if self._said("AS") else variable
        return Item(name, variable, aggregates)

    def _sorted(self) -> None:
        self._expression()
        if self._token.word in ("ASC", "ASCENDING", "DESC", "DESCENDING"):
            self._take()

    def _call(self) -> tuple[tuple[Step, ...], ...]:
        self._take()
        where = place(self._text, self._token.start)
        if self._token.kind != "word":
            raise refused(f"CALL ({where}) names no procedure that may be called", hint=_READS)
        name = self._take().text
        while self._skip("."):
            name += f".{self._any_name()}"
        if name.lower() not in PROCEDURES:
            raise refused(
                f"the procedure {name[:40]} ({where}) is not one of those that may be called",
                hint=f"They are {', '.join(sorted(PROCEDURES))}.",
            )
        if self._skip("("):
            while not self._skip(")"):
                if self._token.kind not in _LITERALS:
                    raise self._unexpected("where a value must follow")
                self._take()
                self._skip(",")
        if self._said("YIELD") and not self._skip("*"):
            while True:
                self._name()
                if self._said("AS"):
                    self._name()
                if not self._skip(","):
                    break
        return (self._single(inner=False),) if self._token.word in ("RETURN", "WITH") else ()

    # -- patterns -------------------------------------------------------------------------------------

    def _pattern(self, into: Match) -> None:
        if self._signs("=", by=1):
            self._name()
            self._need("=")
        if self._token.text.lower() in SHORTEST and self._signs("(", by=1):
            self._take()
            self._need("(")
            self._path(into)
            self._need(")")
            return
        if not self._said("ALL"):
            self._said("ANY")
        if self._said("SHORTEST") and self._token.kind == "number":
            self._take()
        if self._token.word in ("PATH", "PATHS", "GROUP", "GROUPS"):
            self._take()
        self._path(into)

    def _path(self, into: Match) -> None:
        """Nodes and edges in turn; in Neo4j also paths in round brackets, with how often they repeat."""
        with self._deeper():
            before = self._element(into)
            while True:
                if self._signs("<") or self._signs("-"):
                    types, forward, many = self._edge()
                    after = self._element(into)
                    if before and after:
                        into.edges.append(Edge(types, before, after, forward, many))
                elif self._signs("("):
                    after = self._element(into)
                    if before and after:
                        raise self._unexpected("after two nodes with no edge between")
                else:
                    return
                before = after

    def _element(self, into: Match) -> Node | None:
        if not (self._signs("(") and self._signs("(", by=1)):
            node = self._node()
            into.nodes.append(node)
            return node
        self._need("(")
        self._path(into)
        if self._said("WHERE"):
            self._expression()
        self._need(")")
        self._repeats()
        return None

    def _repeats(self) -> bool:
        """How often a path is gone, after it; whether anything is said of it."""
        if self._skip("+") or self._skip("*"):
            return True
        if not self._skip("{"):
            return False
        self._number()
        if self._skip(","):
            self._number()
        self._need("}")
        return True

    def _number(self) -> None:
        if self._token.kind == "number":
            self._take()

    def _node(self) -> Node:
        self._need("(")
        at = self._tokens[self._at - 1].end
        variable = self._name() if self._token.kind in ("word", "quoted") and self._token.word != "WHERE" else None
        labels = self._labels()
        keys = self._properties()
        if self._said("WHERE"):
            self._expression()
        self._need(")")
        return Node(variable, labels, keys, at)

    def _properties(self) -> frozenset[str]:
        if self._token.kind == "parameter":
            self._take()
            return frozenset()
        return self._map() if self._signs("{") else frozenset()

    def _edge(self) -> tuple[frozenset[str], bool | None, bool]:
        """Its types, its direction, and whether it may be a path of many."""
        many = False
        backward = self._skip("<")
        self._need("-")
        types: frozenset[str] = frozenset()
        if self._skip("["):
            if self._token.kind in ("word", "quoted") and self._token.word != "WHERE":
                self._name()
            types = self._labels()
            if self._skip("*"):
                many = True
                self._hops()
            self._properties()
            if self._said("WHERE"):
                self._expression()
            self._need("]")
        self._need("-")
        forward = self._skip(">")
        many |= self._repeats()
        return types, None if forward == backward else forward, many

    def _hops(self) -> None:
        """How many edges; in the embedded store also which paths: ALL SHORTEST 1..3 (e, n | WHERE n.score > 0)."""
        if not (self._said("ALL", "SHORTEST") or self._said("SHORTEST") or self._said("TRAIL")):
            self._said("ACYCLIC")
        self._number()
        if self._skip(".."):
            self._number()
        if self._skip("("):
            self._name()
            self._need(",")
            self._name()
            self._need("|")
            self._need_word("WHERE")
            self._expression()
            self._need(")")

    def _labels(self) -> frozenset[str]:
        """`:A`, `:A|B`, `:A|:B`, `:A:B`, `:!(A&B)`: the names in it."""
        if not self._signs(":"):
            return frozenset()
        names: set[str] = set()
        opened = 0
        self._take()
        while True:
            while self._skip("!") or self._signs("("):
                opened += self._skip("(")
            if not self._skip("%"):
                names.add(self._any_name())
            while opened and self._skip(")"):
                opened -= 1
            if self._skip("|") or self._skip("&"):
                self._skip(":")
            elif not self._skip(":"):
                break
        if opened:
            raise self._unexpected("where ')' must follow")
        return frozenset(names)

    # -- expressions ----------------------------------------------------------------------------------

    def _expression(self) -> None:
        with self._deeper():
            self._operand()
            while self._operator():
                self._operand()

    def _operator(self) -> bool:
        while self._said("IS", "NOT", "NULL") or self._said("IS", "NULL"):
            pass
        if self._token.word in ("AND", "OR", "XOR", "IN", "CONTAINS"):
            self._take()
            return True
        if self._said("STARTS", "WITH") or self._said("ENDS", "WITH"):
            return True
        if self._skip("=~"):
            self._pattern_of_text()
            return True
        return any(self._skip(signs) for signs in _OPERATORS)

    def _pattern_of_text(self) -> None:
        """A server's clock does not look into a regular expression: one that can go back over and over is refused."""
        token = self._token
        where = place(self._text, token.start)
        if token.kind != "string" or self._ahead().text in ("+", "|", "[", "."):
            raise refused(f"the pattern after =~ ({where}) is no plain text", hint="Write it out, or use CONTAINS.")
        if _goes_back(token.text):
            raise refused(
                f"the pattern after =~ ({where}) repeats what repeats",
                hint="Repeat no group with *, +, { or | in it.",
            )

    def _operand(self) -> None:
        while self._token.word == "NOT" or self._signs("-") or self._signs("+"):
            self._take()
        number = self._token.kind == "number"
        self._atom()
        while True:
            if self._signs(".") and not self._signs("..") and not number:
                self._take()
                self._any_name()
                if self._signs("("):
                    raise self._unexpected("after a property")
            elif self._skip("["):
                self._inside_brackets()
            elif self._signs(":") and not number:
                self._labels()
            else:
                return

    def _inside_brackets(self) -> None:
        """An index, or a slice, of which either end may be missing."""
        if not self._signs(".."):
            self._expression()
        if self._skip("..") and not self._signs("]"):
            self._expression()
        self._need("]")

    def _atom(self) -> None:
        token = self._token
        if token.kind in _LITERALS or token.word in ("TRUE", "FALSE", "NULL"):
            self._take()
        elif self._signs("("):
            if not self._tried(self._path_predicate):
                self._need("(")
                self._expression()
                self._need(")")
        elif self._signs("["):
            self._list()
        elif self._signs("{"):
            self._map()
        elif token.word == "CASE":
            self._case()
        elif token.kind in ("word", "quoted"):
            self._word()
        else:
            raise self._unexpected("where a value must follow")

    def _path_predicate(self) -> None:
        found = Match()
        self._path(found)
        if not found.edges:
            raise self._unexpected("where an edge must follow")
        self._paths.append(found)

    def _list(self) -> None:
        self._need("[")
        paths = len(self._paths)
        if self._skip("]"):
            return
        if self._ahead().word == "IN" and self._token.kind in ("word", "quoted"):
            self._name()
            self._take()
            self._expression()
        elif not (self._signs("=", by=1) and self._signs("(", by=2) and self._tried(self._named_path)):
            self._expression()
        if self._said("WHERE"):
            self._expression()
        if self._skip("|"):
            self._summed += self._paths[paths:]  # one entry for each way that they are found
            self._expression()
        while self._skip(","):
            self._expression()
        self._need("]")

    def _named_path(self) -> None:
        self._name()
        self._need("=")
        self._path_predicate()

    def _map(self) -> frozenset[str]:
        """The names that are given a text or a parameter."""
        keys: set[str] = set()
        self._need("{")
        first = True
        while not self._skip("}"):
            if not first:
                self._need(",")
            first = False
            name = self._any_name()
            self._need(":")
            value, at = self._token, self._at
            self._expression()
            if value.kind in ("string", "parameter") and self._at == at + 1:
                keys.add(name)
        return frozenset(keys)

    def _case(self) -> None:
        self._take()
        if self._token.word != "WHEN":
            self._expression()
        while True:
            self._need_word("WHEN")
            self._expression()
            while self._skip(","):
                self._expression()
            self._need_word("THEN")
            self._expression()
            if self._token.word != "WHEN":
                break
        if self._said("ELSE"):
            self._expression()
        self._need_word("END")

    def _word(self) -> None:
        """A function that is known, a query in braces, a map of a variable's properties, or a variable."""
        if self._ahead().text == "{" and self._token.word in ("EXISTS", "COUNT", "COLLECT"):
            sums = self._take().word != "EXISTS"
            found = self._subquery()
            self._summed += found if sums else []
            return
        dotted = 0
        while self._signs(".", by=dotted + 1) and self._ahead(dotted + 2).kind in ("word", "quoted"):
            dotted += 2
        if self._signs("(", by=dotted + 1):
            self._function(dotted)
            return
        self._name("where a value must follow")
        if self._skip("{"):
            while not self._skip("}"):
                if self._skip("."):
                    if not self._skip("*"):
                        self._any_name()
                else:
                    self._any_name()
                    if self._skip(":"):
                        self._expression()
                if not self._signs("}"):
                    self._need(",")

    def _subquery(self) -> list[Match]:
        """The patterns that it looks for."""
        with self._deeper():
            self._need("{")
            aggregated = self._aggregated
            if self._token.word in CLAUSES:
                found = [step for part in self._union(inner=True) for step in part if isinstance(step, Match)]
            else:
                found = [self._match()]
            self._aggregated = aggregated
            self._need("}")
        return found

    def _function(self, dotted: int) -> None:
        where = place(self._text, self._token.start)
        tokens = [self._take() for _ in range(dotted + 1)]
        name = "".join(token.text for token in tokens)
        plain = all(token.kind in ("word", "sign") for token in tokens)
        lower = name.lower()
        self._need("(")
        if plain and lower in QUANTIFIERS:
            self._over_list()
        elif plain and lower == "reduce":
            self._name()
            self._need("=")
            self._expression()
            self._need(",")
            self._over_list()
        elif plain and lower in SHORTEST:
            self._path(Match())
        elif plain and lower == "cast":
            self._cast()
        elif plain and lower in FUNCTIONS:
            self._aggregated |= lower in AGGREGATES
            self._arguments()
        elif tokens[0].word in WRITING:
            raise refused(f"{tokens[0].word} ({where}) is no reading clause", hint=_READS)
        else:
            raise refused(f"{name[:40]} ({where}) is no function that it knows", hint="`:functions` lists them.")
        self._need(")")

    def _arguments(self) -> None:
        if self._skip("*") or self._signs(")"):
            return
        self._said("DISTINCT")
        self._expression()
        while self._skip(","):
            self._expression()

    def _over_list(self) -> None:
        self._name()
        self._need_word("IN")
        self._expression()
        if self._said("WHERE") or self._skip("|"):
            self._expression()

    def _cast(self) -> None:
        """`CAST(x AS INT64[])`, or with the type as a text."""
        self._expression()
        if self._skip(","):
            self._expression()
            return
        self._need_word("AS")
        self._any_name()
        while self._skip("["):
            self._number()
            self._need("]")


def _bare(token: Token) -> str:
    """A name without its backquotes."""
    return token.text[1:-1].replace("``", "`") if token.kind == "quoted" else token.text


def _goes_back(pattern: str) -> bool:
    """Whether a regular expression, between quotes, repeats a group that repeats or chooses, or refers back."""
    opened: list[bool] = []
    inside = ""
    at = 1
    while at < len(pattern) - 1:
        letter = pattern[at]
        if letter == "\\":
            # The text's own escape: two of them are the expression's one, and what follows is escaped by it.
            if pattern[at : at + 2] == "\\\\":
                at += 2
                if pattern[at] in "123456789k" and not inside:
                    return True
                at += 1 if pattern[at] != "\\" else 2
            else:
                at += 2
            continue
        if inside:
            inside = "" if letter == "]" else inside
        elif letter == "[":
            inside = letter
        elif letter == "(":
            opened.append(False)
        elif letter in "*+{|":
            opened = [True] * len(opened)
        elif letter == ")" and opened and opened.pop() and pattern[at + 1] in "*+{":
            return True
        at += 1
    return False
