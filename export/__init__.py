"""A cluster comes in; files for other programs go out.

A format is one module with one `Format`, made of the tables of a `Packet`, and one line in `FORMATS`.
"""

from __future__ import annotations

from ringwatch.export.export import FORMATS, ExportReport, find_format, write_clusters
from ringwatch.export.json_format import records
from ringwatch.export.packet import Format, Packet, Reviewed, Words, make_packet
from ringwatch.export.tables import write_table
from ringwatch.export.takedown import PacketReport, export_takedown

__all__ = [
    "FORMATS",
    "ExportReport",
    "Format",
    "Packet",
    "PacketReport",
    "Reviewed",
    "Words",
    "export_takedown",
    "find_format",
    "make_packet",
    "records",
    "write_clusters",
    "write_table",
]
