"""The prompt of the console: completion, history, several lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output

from ringwatch.queries import complete, read_history, remember
from ringwatch.queries.history import FILE


class CypherCompleter(Completer):
    """Labels, properties and words, by what stands before the cursor."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What may follow the text before the cursor."""
        del complete_event
        begun, names = complete(document.text_before_cursor)
        return (Completion(name, start_position=-len(begun)) for name in names)


class ConsoleHistory(InMemoryHistory):
    """What was typed in this session as it was; in the file without what may be an original."""

    def __init__(self, path: Path) -> None:
        super().__init__(read_history(path))
        self._path = path

    def store_string(self, string: str) -> None:
        """Keeps what was typed."""
        super().store_string(string)
        if not string.startswith(":"):
            remember(self._path, string)


def is_complete(text: str) -> bool:
    """Whether Enter asks: after a semicolon, and for a command or nothing."""
    text = text.strip()
    return not text or text.endswith(";") or text.startswith(":")


def prompt_session(root: Path, *, reads: Input | None = None, writes: Output | None = None) -> PromptSession[str]:
    """A prompt whose history is in the workspace at `root`."""
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    more: dict[str, Any] = {"input": reads, "output": writes}
    return PromptSession(
        "ringwatch> ",
        multiline=True,
        prompt_continuation="         … ",
        completer=CypherCompleter(),
        complete_while_typing=False,
        history=ConsoleHistory(root / FILE),
        key_bindings=keys,
        **more,
    )
