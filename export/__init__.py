"""A cluster comes in; files for other programs go out.

A format is one module with one `Format`, made of the tables of a `Packet`, and one line in `FORMATS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringwatch.doors import door

if TYPE_CHECKING:
    from ringwatch.export.collateral import Collateral, estimate_collateral
    from ringwatch.export.drawing import STRONGEST, Drawing, Waterfall, draw, waterfalls, without_bits
    from ringwatch.export.export import FORMATS, ExportReport, find_format, write_clusters
    from ringwatch.export.json_format import records
    from ringwatch.export.packet import Format, Packet, Reviewed, Words, make_packet
    from ringwatch.export.page import timeline_svg
    from ringwatch.export.report import write_report
    from ringwatch.export.said import NOT_MALICIOUS, abuse_in_words, came_from, shared_things
    from ringwatch.export.tables import write_table
    from ringwatch.export.tabular import safe_cell
    from ringwatch.export.takedown import PacketReport, export_takedown, pack_takedown
    from ringwatch.export.text import escaped, unescaped
else:
    __getattr__ = door(__name__)

__all__ = [
    "FORMATS",
    "NOT_MALICIOUS",
    "STRONGEST",
    "Collateral",
    "Drawing",
    "ExportReport",
    "Format",
    "Packet",
    "PacketReport",
    "Reviewed",
    "Waterfall",
    "Words",
    "abuse_in_words",
    "came_from",
    "draw",
    "escaped",
    "estimate_collateral",
    "export_takedown",
    "find_format",
    "make_packet",
    "pack_takedown",
    "records",
    "safe_cell",
    "shared_things",
    "timeline_svg",
    "unescaped",
    "waterfalls",
    "without_bits",
    "write_clusters",
    "write_report",
    "write_table",
]
