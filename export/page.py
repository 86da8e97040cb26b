"""One self-contained HTML file: what a cluster is, the reasons as a waterfall, the graph, the days, the members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ringwatch.export.drawing import STRONGEST, Waterfall, draw, waterfalls
from ringwatch.export.json_format import records
from ringwatch.export.markup import page, shown, table
from ringwatch.export.packet import Format, Packet, Reviewed
from ringwatch.export.said import NOT_MALICIOUS, abuse_in_words, days_seen

_WIDE, _HIGH = 960, 640
_NAMED = 60
"""A graph of more nodes has no names in it; they are in the titles of its points."""
_CROWDED = 600
"""From so many nodes on, points are small."""
_LISTED = 5000
_ROW = 26


def _render(packet: Packet) -> dict[str, bytes]:
    names = ", ".join(packet.clusters["cluster_id"])
    parts: list[str] = []
    for row in records(packet.clusters):
        parts += _cluster(packet, row)
    if packet.review is not None:
        parts += _review(packet.review)
    parts.append(f"<p class=soft>{NOT_MALICIOUS}</p>")
    return {"clusters.html": page(f"Cluster {names}", parts)}


def _cluster(packet: Packet, row: dict[str, Any]) -> Iterator[str]:
    name = row["cluster_id"]
    nodes = packet.nodes
    members = nodes[nodes["cluster_id"] == name]
    seen = days_seen(row) or "at no known time"
    yield f"<h1>Cluster {shown(name)}</h1>"
    yield table(
        ("", ""),
        [
            ("score", f"{row['score']:.3f}"),
            ("one operation", f"{row['coordination']:.3f} ({row['bits']:+.1f} bits a pair)"),
            ("abuse", abuse_in_words(row["abuse"])),
            ("accounts", row["size"]),
            ("seen", seen),
            ("status", row["status"]),
            ("run, digest", f"{row['run_id']}, {row['digest']}"),
        ],
    )
    reasons = records(packet.evidence[packet.evidence["cluster_id"] == name])
    for waterfall in waterfalls(reasons):
        yield f"<h2>{waterfall.question}</h2>"
        yield _waterfall(waterfall)
        yield table(
            ("bits", "layer", "reason"),
            [(f"{one['bits']:+.2f}", one["layer"].replace("_", " "), one["text"]) for one in waterfall.reasons],
            numbers=(0,),
        )
    yield "<h2>Graph</h2>"
    yield _graph(packet, set(members["id"]))
    days = packet.timeline[packet.timeline["cluster_id"] == name]
    if len(days):
        yield "<h2>Days</h2>"
        yield timeline_svg(days)
    yield "<h2>Members</h2>"
    review = packet.review
    rows = [
        (
            one["id"], f"{one['membership']:.2f}", f"{one['score']:.3f}",
            *([] if review is None else [_fate(review, one["id"])]),
        )
        for one in records(members.sort_values(["membership", "id"], ascending=[False, True]).head(_LISTED))
    ]  # fmt: skip
    columns = ("account", "membership", "score", *([] if review is None else ["what is done"]))
    yield table(columns, rows, numbers=(1, 2))
    if len(members) > _LISTED:
        yield f"<p>{len(members) - _LISTED:,} more are in the other formats.</p>"


def _fate(review: Reviewed, account: str) -> str:
    if account in review.excluded:
        return f"excluded: {review.excluded[account]}"
    return review.actions.get(account, "")


def _review(review: Reviewed) -> Iterator[str]:
    yield f"<h2>Review: {shown(review.case_id)}, {shown(review.state)}</h2>"
    yield table(
        ("when", "who", "what", "why"),
        [(words.time[:19], words.author, words.what, words.text) for words in review.words],
    )


def _waterfall(waterfall: Waterfall) -> str:
    """Reasons as steps, each from where the sum before it ends."""
    ends, reasons = waterfall.sums, waterfall.reasons
    left, right = 190, _WIDE - 70
    scale = (right - left) / max(waterfall.high - waterfall.low, 1e-9)

    def place(bits: float) -> float:
        return left + (bits - waterfall.low) * scale

    zero, bottom = place(0.0), _ROW * (len(reasons) + 1)
    bars = [f'<line class="axis" x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{bottom}"/>']
    for number, reason in enumerate(reasons):
        start, end = sorted((place(ends[number]), place(ends[number + 1])))
        kind, top = ("for" if reason["bits"] >= 0 else "against"), number * _ROW
        layer = reason["layer"].replace("_", " ")
        bars.append(
            f'<text x="{left - 10}" y="{top + 17}" text-anchor="end">{shown(layer)}</text>'
            f'<rect class="{kind}" x="{start:.1f}" y="{top + 4}" width="{max(end - start, 1):.1f}"'
            f' height="{_ROW - 8}">'
            f"<title>{shown(reason['text'])}</title></rect>"
            f'<text x="{end + 6:.1f}" y="{top + 17}">{reason["bits"]:+.1f}</text>'
        )
    top = len(reasons) * _ROW
    bars.append(f'<text x="{left - 10}" y="{top + 17}" text-anchor="end">together</text>')
    bars.append(f'<text x="{place(ends[-1]) + 6:.1f}" y="{top + 17}">{ends[-1]:+.1f}</text>')
    label = f"{waterfall.question} Reasons in bits, {len(reasons)} of them, together {ends[-1]:+.1f}."
    return f'<svg role="img" aria-label="{shown(label)}" viewBox="0 0 {_WIDE} {bottom}">{"".join(bars)}</svg>'


def _graph(packet: Packet, members: set[str]) -> str:
    """Members and what they share; of the ties between accounts each one's strongest."""
    drawing = draw(packet, members)
    names = drawing.nodes["id"].tolist()
    places = drawing.nodes[["x", "y"]].to_numpy() * [_WIDE - 80, _HIGH - 60] + [40, 30]
    edges = drawing.edges
    marks = [
        f'<line class="{"tie" if together else "use"}" x1="{places[a, 0]:.1f}" y1="{places[a, 1]:.1f}"'
        f' x2="{places[b, 0]:.1f}" y2="{places[b, 1]:.1f}"/>'
        for a, b, together in zip(edges["a"], edges["b"], edges["type"] == "COORDINATED_WITH", strict=True)
    ]
    size = 6.0 if len(names) <= _NAMED else 4.0 if len(names) <= _CROWDED else 2.5
    for name, kind, (x, y) in zip(names, drawing.nodes["kind"], places.tolist(), strict=True):
        account, said = kind == "account", kind.replace("_", " ")
        title = f"<title>{shown(said)}: {shown(name)}</title>"
        if account:
            marks.append(f'<circle class="account" cx="{x:.1f}" cy="{y:.1f}" r="{size}">{title}</circle>')
        else:
            marks.append(f'<rect class="entity" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8">{title}</rect>')
        if len(names) <= _NAMED:
            text = name if account else said
            marks.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}">{shown(text[:24])}</text>')
    label = f"{len(members)} accounts (circles) and {len(names) - len(members)} entities that they share (squares)."
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {_WIDE} {_HIGH}">{"".join(marks)}</svg>'
        f'<p class="soft">{label} Lines between accounts: the {STRONGEST} strongest ties of each.</p>'
    )


def timeline_svg(days: pd.DataFrame) -> str:
    """Events by day (day, events, harmful) as bars, and a sentence that says the same."""
    daily = days.set_index("day")[["events", "harmful"]].sort_index().asfreq("D", fill_value=0)
    step = -(-len(daily) // 240)
    counts = daily.groupby(np.arange(len(daily)) // step).sum()
    first, last = daily.index[0].strftime("%Y-%m-%d"), daily.index[-1].strftime("%Y-%m-%d")
    top, high = max(int(counts["events"].max()), 1), 120
    wide = (_WIDE - 20) / len(counts)
    bars = []
    for place, (events, harmful) in enumerate(zip(counts["events"], counts["harmful"], strict=True)):
        x = 10 + place * wide
        for kind, what, count in (("account", "events", int(events)), ("for", "harmful", int(harmful))):
            if count:
                tall = high * count / top
                bars.append(
                    f'<rect class="{kind}" x="{x:.1f}" y="{high - tall:.1f}" width="{max(wide - 1, 1):.1f}"'
                    f' height="{tall:.1f}"><title>{count:,} {what}</title></rect>'
                )
    bars.append(f'<text x="10" y="{high + 16}">{first}</text>')
    bars.append(f'<text x="{_WIDE - 10}" y="{high + 16}" text-anchor="end">{last}</text>')
    total, harm = int(counts["events"].sum()), int(counts["harmful"].sum())
    label = f"Events by day from {first} to {last}: {total:,}, of which {harm:,} were harmful. Highest {top:,}."
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {_WIDE} {high + 24}">{"".join(bars)}</svg>'
        f'<p class="soft">{label}</p>'
    )


HTML = Format("html", folder=False, render=_render)
