"""A cluster comes in; files for other programs go out.

A format is one module with one `Format`, made of the tables of a `Packet`, and one line in `FORMATS`.
"""

from __future__ import annotations

from ringwatch.export.drawing import STRONGEST, Drawing, Waterfall, draw, waterfalls
from ringwatch.export.export import FORMATS, ExportReport, find_format, write_clusters
from ringwatch.export.json_format import records
from ringwatch.export.packet import Format, Packet, Reviewed, Words, make_packet
from ringwatch.export.page import timeline_svg
from ringwatch.export.tables import write_table
from ringwatch.export.takedown import PacketReport, export_takedown, pack_takedown
from ringwatch.export.text import escaped, unescaped

__all__ = [
    "FORMATS",
    "STRONGEST",
    "Drawing",
    "ExportReport",
    "Format",
    "Packet",
    "PacketReport",
    "Reviewed",
    "Waterfall",
    "Words",
    "draw",
    "escaped",
    "export_takedown",
    "find_format",
    "make_packet",
    "pack_takedown",
    "records",
    "timeline_svg",
    "unescaped",
    "waterfalls",
    "write_clusters",
    "write_table",
]
