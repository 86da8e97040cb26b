"""Reading a possibly compressed text file in bounded pieces: no bomb, no endless line gets past here."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import zstandard

from ringwatch.config import Limits
from ringwatch.errors import DataError
from ringwatch.ingest.sources import SourceFile

_READ = 1 << 20
_ZSTD_READ = 1 << 12  # a few bytes of zstd can stand for 128 KiB: small pieces bound what one step makes
_ZSTD_WINDOW = 1 << 27
BAD_BYTE = "\ufdd0"
"""Stands before the two hex digits of a byte that is no UTF-8; a code point that is not for text (Unicode 23.7)."""

_RATIO_FLOOR = 16 << 20  # a small file may be as repetitive as it likes


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(f"{BAD_BYTE}{byte:02x}" for byte in error.object[error.start : error.end]), error.end


codecs.register_error("ringwatch-mark", _mark)


def unmarked(text: str) -> str:
    """Text in which marked bytes are escapes."""
    return text.replace(BAD_BYTE, "\\x")


class TextStream(io.RawIOBase):
    """The decompressed text of a file as UTF-8, in order, read once. Bytes that are no text are marked (`BAD_BYTE`).

    Notes the physical line numbers of `blank_lines` as it passes them. Every reading method raises `DataError` where
    the file cannot be decompressed, or passes the bounds on size, compression ratio or length of a line.
    """

    def __init__(self, file: SourceFile, limits: Limits) -> None:
        super().__init__()
        self._file = file
        self._limits = limits
        self._compressed = file.path.stat().st_size
        self._handle: BinaryIO = file.path.open("rb")
        self._chunks = self._open()
        self._pending = b""
        self._total = 0
        self._line = 0
        self._line_length = 0
        self.blank_lines: list[int] = []

    def close(self) -> None:
        """Lets go of the file."""
        self._handle.close()
        super().close()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, fewer only at the end; all that is left if negative.

        A reader takes what it gets for the block that it asked for, and a record may not be longer than a block.
        """
        if size < 0:
            return b"".join(self.chunks())
        held = [self._pending]
        lacking = size - len(self._pending)
        while lacking > 0 and (piece := next(self._chunks, None)) is not None:
            held.append(piece)
            lacking -= len(piece)
        text = b"".join(held)
        self._pending = text[size:]
        return text[:size]

    def chunks(self) -> Iterator[bytes]:
        """What is left, in pieces of no certain size."""
        if self._pending:
            piece, self._pending = self._pending, b""
            yield piece
        yield from self._chunks

    def first_line(self) -> bytes:
        """The next line, without its end and without a byte order mark; what follows it stays to be read."""
        held = b""
        while b"\n" not in held:
            piece = self.read(_READ)
            if not piece:
                break
            held += piece
        line, _, rest = held.partition(b"\n")
        self._pending = rest + self._pending
        return line.removesuffix(b"\r").removeprefix(b"\xef\xbb\xbf")

    # -- inside ---------------------------------------------------------------------------------------

    def _open(self) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-8")("ringwatch-mark")
        source = {"": self._plain, "gz": self._gzip, "zst": self._zstd}[self._file.compression]
        try:
            for piece in source():
                self._check(piece)
                yield decoder.decode(piece).encode()
            yield decoder.decode(b"", final=True).encode()
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise DataError(
                f"{self._file.name} cannot be read: {error}.", hint="Check that the file is whole and not damaged."
            ) from error

    def _plain(self) -> Iterator[bytes]:
        while piece := self._handle.read(_READ):
            yield piece

    def _gzip(self) -> Iterator[bytes]:
        with gzip.GzipFile(fileobj=self._handle) as handle:
            while piece := handle.read(_READ):
                yield piece

    def _zstd(self) -> Iterator[bytes]:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        frame, started, held = decompressor.decompressobj(), False, b""
        while True:
            piece = held or self._handle.read(_ZSTD_READ)
            held = b""
            if not piece:
                break
            started = True
            if out := frame.decompress(piece):
                yield out
            if frame.eof:
                held = frame.unused_data
                frame, started = decompressor.decompressobj(), False
        if started:
            raise EOFError("the last zstd frame is cut off")

    def _check(self, piece: bytes) -> None:
        self._total += len(piece)
        name, limits = self._file.name, self._limits
        if self._total > limits.file_bytes:
            raise DataError(
                f"{name} has more than {limits.file_bytes} bytes when decompressed.",
                hint="Split the file, or raise limits.file_bytes in ringwatch.toml.",
            )
        if (
            self._file.compression
            and self._total > _RATIO_FLOOR
            and self._total > limits.compression_ratio * self._compressed
        ):
            raise DataError(
                f"{name} grows to more than {limits.compression_ratio} times its size when decompressed.",
                hint="If it is honest, compress it less, or raise limits.compression_ratio in ringwatch.toml.",
            )
        ends = np.flatnonzero(np.frombuffer(piece, dtype=np.uint8) == ord("\n"))
        longest = len(piece) + self._line_length
        if len(ends):
            lengths = np.diff(ends, prepend=-1 - self._line_length) - 1
            self._note_blanks(piece, ends, lengths)
            self._line_length = len(piece) - 1 - int(ends[-1])
            self._line += len(ends)
            longest = max(int(lengths.max()), self._line_length)
        else:
            self._line_length = longest
        if longest > limits.line_bytes:
            raise DataError(
                f"Line {self._line + 1} or one shortly before it in {name} has more than {limits.line_bytes} bytes.",
                hint="Check that the file has line ends, or raise limits.line_bytes in ringwatch.toml.",
            )

    def _note_blanks(self, piece: bytes, ends: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> None:
        for index in np.flatnonzero(lengths <= 1):
            if lengths[index] == 0 or (ends[index] > 0 and piece[ends[index] - 1] == ord("\r")):
                self.blank_lines.append(self._line + int(index) + 1)
