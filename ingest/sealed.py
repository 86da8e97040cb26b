"""An encrypted file of chunks, each compressed (zstd), then sealed (AES-256-GCM): one is read without the rest.

Layout: magic, 16 bytes of salt, the chunks, the sealed index, its offset (8 bytes, big-endian). The file's key is
HKDF-SHA-256 of the workspace's `vault` secret, the purpose and the salt, so that no two files share a key and the
number of a chunk can be its nonce (NIST SP 800-38D, section 8.2.1). The number, and what the file is for, are sealed
with a chunk: none can be moved, swapped, or left out unseen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ringwatch.errors import RingwatchError
from ringwatch.workspace import Workspace, derive_key

_MAGIC = b"RWSEAL1\n"
_SALT = 16
_HEAD = len(_MAGIC) + _SALT
_OFFSET = 8
_INDEX = 2**64  # the index's nonce: beyond every chunk's
_LARGEST = 1 << 30

Entry = dict[str, Any]
"""What the index says of a chunk: `number`, `offset`, `length`, and what the writer said of it."""


def _cipher(workspace: Workspace, purpose: str, salt: bytes) -> AESGCM:
    return AESGCM(derive_key(workspace.secret("vault"), f"{purpose}:{salt.hex()}"))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


class SealedWriter:
    """Writes a sealed file. Leaving the `with` block completes and flushes it; leaving by an error does not."""

    def __init__(self, workspace: Workspace, path: Path, purpose: str) -> None:
        salt = os.urandom(_SALT)
        self._cipher = _cipher(workspace, purpose, salt)
        self._purpose = purpose.encode()
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._index: list[Entry] = []
        self._file: BinaryIO = path.open("wb")
        self._file.write(_MAGIC + salt)

    def add(self, data: bytes, **said: object) -> None:
        """Seals a chunk; `said` goes to the index, in values that JSON has."""
        number, offset = len(self._index), self._file.tell()
        self._file.write(self._seal(data, number))
        self._index.append({"number": number, "offset": offset, "length": self._file.tell() - offset, **said})

    def _seal(self, data: bytes, number: int) -> bytes:
        return self._cipher.encrypt(_nonce(number), self._compressor.compress(data), self._purpose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                offset = self._file.tell()
                self._file.write(self._seal(json.dumps(self._index).encode(), _INDEX))
                self._file.write(offset.to_bytes(_OFFSET, "big"))
                self._file.flush()
                os.fsync(self._file.fileno())


class SealedReader:
    """Reads a sealed file; the index at once, chunks when they are asked for.

    Raises:
        RingwatchError: the file is damaged, or sealed under another key. So does every reading method.
    """

    def __init__(self, workspace: Workspace, path: Path, purpose: str) -> None:
        self._path = path
        self._purpose = purpose.encode()
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD)
                file.seek(-_OFFSET, os.SEEK_END)
                end = file.tell()
                offset = int.from_bytes(file.read(_OFFSET), "big")
        except OSError as error:
            raise self._damaged() from error
        if not head.startswith(_MAGIC) or not _HEAD <= offset <= end:
            raise self._damaged()
        self._cipher = _cipher(workspace, purpose, head[len(_MAGIC) :])
        found = self._open({"number": _INDEX, "offset": offset, "length": end - offset})
        self.entries: list[Entry] = json.loads(found)

    def read(self, entry: Entry) -> bytes:
        """The data of a chunk."""
        return self._open(entry)

    def chunks(self) -> Iterator[tuple[Entry, bytes]]:
        """Every chunk, in the order they were added."""
        for entry in self.entries:
            yield entry, self._open(entry)

    def _open(self, entry: Entry) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(entry["offset"])
                sealed = file.read(entry["length"])
            packed = self._cipher.decrypt(_nonce(entry["number"]), sealed, self._purpose)
            return zstandard.ZstdDecompressor().decompress(packed, max_output_size=_LARGEST)
        except (OSError, InvalidTag, ValueError, zstandard.ZstdError) as error:
            raise self._damaged() from error

    def _damaged(self) -> RingwatchError:
        return RingwatchError(
            f"{self._path} is damaged, or was sealed under another key.", hint="Restore it and `keys/` from a backup."
        )
