"""Writes clusters in a format: which formats there are, and how the bytes reach the disk (wholly or not at all)."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringwatch.errors import UsageError
from ringwatch.export.cypher import CYPHER
from ringwatch.export.graph_formats import GEXF, GRAPHML
from ringwatch.export.json_format import JSON
from ringwatch.export.misp import MISP
from ringwatch.export.packet import Format, make_packet
from ringwatch.export.page import HTML
from ringwatch.export.stix import STIX
from ringwatch.export.tabular import CSV, PARQUET
from ringwatch.graphs import Cluster
from ringwatch.workspace import fsync_path, write_atomic, write_file, writes_to

FORMATS: dict[str, Format] = {one.name: one for one in (CSV, PARQUET, JSON, GRAPHML, GEXF, STIX, MISP, CYPHER, HTML)}


@dataclass(frozen=True)
class ExportReport:
    """The files that were written with their SHA-256, and the digest of each cluster in them."""

    format: str
    output: Path
    files: tuple[tuple[Path, str], ...]
    digests: dict[str, str]

    @property
    def cluster_digest(self) -> str:
        """The digest of the cluster; of several, the SHA-256 over theirs in the order of their ids."""
        if len(self.digests) == 1:
            return next(iter(self.digests.values()))
        return hashlib.sha256("\n".join(self.digests.values()).encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "output": str(self.output),
            "files": [{"path": str(path), "sha256": digest} for path, digest in self.files],
            "cluster_digest": self.cluster_digest,
            "clusters": [{"cluster_id": name, "digest": digest} for name, digest in self.digests.items()],
        }


def find_format(name: str) -> Format:
    """The format of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in FORMATS:
        raise UsageError(f"There is no export format '{name}'.", hint=f"Use one of: {', '.join(FORMATS)}.")
    return FORMATS[name]


def write_clusters(clusters: Sequence[Cluster], fmt: str, output: Path) -> ExportReport:
    """Writes clusters to `output`: a folder for csv and parquet, a file otherwise. The same clusters, the same bytes.

    A file that is there is replaced; a folder that is there is written to where it holds nothing but such an export.

    Raises:
        UsageError: an unknown format, no cluster, or `output` cannot be written or holds something else.
    """
    chosen = find_format(fmt)
    if not clusters:
        raise UsageError("No cluster was named.", hint="Name one that `ringwatch clusters list` shows.")
    packet = make_packet(clusters)
    files = chosen.render(packet)
    if chosen.folder:
        write_files(output, files)
        written = {output / name: data for name, data in files.items()}
    elif output.is_dir():
        raise UsageError(f"{output} is a folder, and this format is one file.", hint="Choose another --output.")
    else:
        (data,) = files.values()
        write_file(output, data)
        written = {output: data}
    heads = packet.clusters
    return ExportReport(
        fmt,
        output,
        tuple((path, hashlib.sha256(data).hexdigest()) for path, data in sorted(written.items())),
        dict(zip(heads["cluster_id"], heads["digest"], strict=True)),
    )


def write_files(output: Path, files: dict[str, bytes]) -> None:
    """Writes files by name (`a/b` is in the folder `a`) into the folder `output`, wholly or not at all where it is
    new; in one that holds nothing else they are replaced one by one.

    Raises:
        UsageError: `output` is a file, holds something else, or cannot be written.
    """
    with writes_to(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        _write_folder(output, files)


def _write_folder(output: Path, files: dict[str, bytes]) -> None:
    """Makes the folder beside its place and moves it there; one that is there gets its files replaced one by one."""
    if output.exists():
        if not output.is_dir():
            raise UsageError(f"{output} is a file, and this format needs a folder.", hint="Choose another --output.")
        there = [path.relative_to(output).as_posix() for path in output.rglob("*") if not path.is_dir()]
        others = sorted(name for name in there if name not in files)
        if others:
            raise UsageError(f"{output} holds something else: {others[0]}.", hint="Choose a new or empty folder.")
        _fill(output, files)
        return
    staged = output.with_name(f".{output.name}.{secrets.token_hex(4)}.tmp")
    staged.mkdir()
    try:
        _fill(staged, files)
        os.rename(staged, output)  # noqa: PTH104 (Path.replace says the same; a folder is moved, never merged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    fsync_path(output.parent)


def _fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / name, data)
