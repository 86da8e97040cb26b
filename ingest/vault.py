"""The vault of a batch: originals by token, encrypted. Entities, exemplars of prompts, tool arguments, notes.

Chunks hold one kind each, sorted by token, and the index names their first and last token: a reveal opens only those
that can hold it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ringwatch.audit import record
from ringwatch.config import TOKEN
from ringwatch.errors import UsageError
from ringwatch.ingest.sealed import SealedReader, SealedWriter
from ringwatch.workspace import Current, Workspace

FILE = "vault.bin"
PROMPT, TOOL_ARGS, NOTE = "prompt-text", "tool-args", "entity-note"
"""Kinds beside the entity types, by names that no type can have. A note stands under its entity's token."""

_ROWS = 4096
_BYTES = 8 << 20
_kernels: Any = pc


@dataclass(frozen=True)
class Revealed:
    """An original. One token has several where values differ that mean the same (a+x@ and a@)."""

    token: str
    kind: str
    value: str


class VaultWriter(SealedWriter):
    """Writes the vault of a batch into its folder."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        super().__init__(workspace, folder / FILE, "vault")

    def keep(self, kind: str, tokens: Any, values: Any) -> None:
        """Seals originals under their tokens; both string[n], no nulls."""
        rows = pa.table({"token": tokens, "value": values.cast(pa.large_string())}).sort_by("token")
        start = 0
        while start < len(rows):
            piece = rows.slice(start, _ROWS)
            while len(piece) > 1 and piece.nbytes > _BYTES:
                piece = piece.slice(0, len(piece) // 2)
            first, last = piece["token"][0].as_py(), piece["token"][len(piece) - 1].as_py()
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, piece.schema) as stream:
                stream.write_table(piece.combine_chunks())
            self.add(sink.getvalue().to_pybytes(), kind=kind, first=first, last=last, rows=len(piece))
            start += len(piece)


def read_vault(workspace: Workspace, batch: str) -> Iterator[tuple[str, pa.Table]]:
    """Kind and originals (`token`, `value`) of every chunk of a batch's vault.

    Raises:
        RingwatchError: the vault is damaged.
    """
    for reader in _readers(workspace, (batch,)):
        for entry, data in reader.chunks():
            yield entry["kind"], pa.ipc.open_stream(data).read_all()


def reveal(
    workspace: Workspace, current: Current, token: str, *, reason: str, by: str | None = None
) -> list[Revealed]:
    """The originals behind a token, and the notes on it. The audit log has the reason, and who asked (`by`) where
    that is known, before anything is returned.

    Raises:
        UsageError: no reason is given, or no batch knows the token.
        RingwatchError: a vault is damaged.
    """
    if not reason.strip():
        raise UsageError("A reveal needs a reason.", hint="Give one with --reason; it is kept in the audit log.")
    # Whatever was typed may itself be an original: only what has the form of a token is repeated.
    known = TOKEN.fullmatch(token) is not None
    who = {} if by is None else {"actor": by}
    record(workspace.audit_path, "reveal", token=token if known else None, reason=reason, **who)
    found: dict[Revealed, None] = {}
    for reader in _readers(workspace, current.batches if known else ()):
        for entry in reader.entries:
            if entry["first"] <= token <= entry["last"]:
                rows = pa.ipc.open_stream(reader.read(entry)).read_all()
                values = rows.filter(_kernels.equal(rows["token"], token))["value"].to_pylist()
                found |= dict.fromkeys(Revealed(token, entry["kind"], str(value)) for value in values)
    if not found:
        raise UsageError(
            f"The vault does not know {token}." if known else "That is not a token of this workspace.",
            hint="Tokens look like ip_0123456789abcdef0123456789abcdef; exemplars like prompt_0123456789abcdef.",
        )
    return sorted(found, key=lambda one: (one.kind == NOTE, one.kind, one.value))


def _readers(workspace: Workspace, batches: Sequence[str]) -> Iterator[SealedReader]:
    """The vaults of the batches; one that stored nothing has none."""
    for batch in batches:
        path = workspace.log_dir / batch / FILE
        if path.is_file():
            yield SealedReader(workspace, path, "vault")
