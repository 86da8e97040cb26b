"""`console`: statements that somebody writes, one alone or one by one; the guard lets through what only reads."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.cli import answers
from ringwatch.cli.session import Session, Wait, command
from ringwatch.errors import RingwatchError, UsageError

if TYPE_CHECKING:
    from ringwatch.queries import Anonymity, Answer, Bounds, Worker

HELP = """\
A statement ends with ; and may be several lines long. Tab completes, the arrows go back in what was typed.

:schema [NAME]     labels, edge types, and their properties
:functions         the functions that may be called
:param NAME=VALUE  sets $NAME; :param alone shows what is set
:limit N           rows of an answer
:full              tokens whole, or short again
:help, :quit"""


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "console")(_console)


def _console(
    session: Session,
    execute: Annotated[
        str | None, typer.Option("--execute", "-e", help="A statement of Cypher; without it, a prompt.")
    ] = None,
    param: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for $NAME; may be given several times.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many rows.", min=1, max=1_000_000)] = 1000,
    timeout: Annotated[float, typer.Option(help="Seconds that a statement may take.", min=0.1, max=3600)] = 30.0,
    wait: Wait = 10.0,
) -> None:
    """Ask the graph in Cypher: statements that only read, within bounds of time, rows and memory."""
    from ringwatch.queries import Bounds, check
    from ringwatch.review import anonymity_of

    workspace = session.workspace()
    parameters = {name: answers.value_of(value) for name, value in answers.pairs(param).items()}
    bounds = Bounds(limit, timeout, workspace.config.memory_mb)
    if execute is None and session.as_json:
        raise UsageError("--json goes with --execute.", hint="Give the statement: --execute 'MATCH …'.")
    if execute is not None:
        check(execute)  # before a process is started for it
    with answers.worker(workspace, wait=wait) as worker:
        console = Console(session, worker, bounds, anonymity_of(workspace), parameters)
        if execute is not None:
            console.ask(execute)
        elif sys.stdin.isatty():
            worker.start()
            _prompt(console, workspace.root)
        else:
            for statement in _statements(sys.stdin.read()):
                console.do(statement)


class Console:
    """What a console does with what is typed."""

    def __init__(
        self, session: Session, worker: Worker, bounds: Bounds, anonymity: Anonymity, parameters: dict[str, Any]
    ) -> None:
        self.session = session
        self._worker = worker
        self._bounds = bounds
        self._anonymity = anonymity
        self._parameters = parameters
        self._full = False

    def do(self, typed: str) -> bool:
        """Does what was typed, a statement or a command with a colon; false where that is to end."""
        if typed.startswith(":"):
            return self._command(*typed[1:].rstrip(";").split(maxsplit=1))
        if typed.strip(" \n\t;"):
            self.ask(typed)
        return True

    def ask(self, statement: str) -> None:
        """Asks the graph and prints what it answers."""
        answer = self._worker.ask(statement, self._parameters, bounds=self._bounds, anonymity=self._anonymity)
        self.session.say("console", answers.document(answer), lambda: self._show(answer))

    def _show(self, answer: Answer) -> None:
        answers.show(self.session, answer, self._anonymity.k, full=self._full)

    def _command(self, name: str = "", argument: str = "") -> bool:
        from ringwatch.queries import Bounds

        if name in ("quit", "q", "exit"):
            return False
        if name == "schema":
            self._schema(argument.strip())
        elif name == "functions":
            from ringwatch.queries.vocabulary import FUNCTIONS

            self.session.line(", ".join(sorted(FUNCTIONS)))
        elif name in ("param", "params"):
            for key, text in answers.pairs([argument] if argument else [], ":param").items():
                self._parameters[key] = answers.value_of(text)
            self.session.line("\n".join(f"${key} = {value!r}" for key, value in self._parameters.items()))
        elif name == "limit" and argument.isdigit() and int(argument):
            self._bounds = Bounds(int(argument), self._bounds.seconds, self._bounds.megabytes)
        elif name == "full":
            self._full = not self._full
        else:
            self.session.line(HELP)
        return True

    def _schema(self, wanted: str) -> None:
        from ringwatch.graphs.schema import EDGES, NODES

        nodes = [(table.label, "", ", ".join((table.key, *table.columns))) for table in NODES.values()]
        edges = [(edge.type, f"{edge.src} → {edge.dst}", ", ".join(edge.columns)) for edge in EDGES.values()]
        rows = [row for row in (*nodes, *edges) if wanted.lower() in row[0].lower()]
        self.session.table(("name", "between", "properties"), rows)


def _statements(text: str) -> Iterable[str]:
    """The statements of a file, parted by semicolons; the guard looks at each."""
    from ringwatch.queries.lexer import tokenize

    start = 0
    for token in tokenize(text):
        if token.text == ";" or token.kind == "end":
            if text[start : token.start].strip():
                yield text[start : token.start]
            start = token.end


def _prompt(console: Console, root: Any) -> None:
    from ringwatch.cli.prompt import prompt_session

    typed_by = prompt_session(root)
    console.session.line("Cypher that only reads. A statement ends with ; – :help says more, :quit ends.")
    while True:
        try:
            typed = typed_by.prompt()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        try:
            if not console.do(typed.strip()):
                return
        except KeyboardInterrupt:
            console.session.line("Stopped.")
        except RingwatchError as error:
            console.session.line(f"{error.message} {error.hint}".strip(), style="red")
