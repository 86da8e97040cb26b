"""Pictures as SVG, which a notebook shows and a file keeps. The same data, the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ringwatch.export.layout import layout

_WIDTH = 640
_ROW = 22
_BARS = 180
_FOR, _AGAINST, _ACCOUNT, _ENTITY, _INK = "#d55e00", "#0072b2", "#d55e00", "#999999", "#444444"


@dataclass(frozen=True)
class Picture:
    """An SVG document; `save` writes it to a file."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> None:
        """Writes the document."""
        Path(path).write_text(self.svg, encoding="utf-8")


def waterfall(reasons: Sequence[Mapping[str, Any]], title: str) -> Picture:
    """Reasons (`layer`, `bits`, `text`) as bars to the right for, to the left against, the greatest first."""
    rows = sorted(reasons, key=lambda row: -row["bits"])
    widest = max((abs(row["bits"]) for row in rows), default=1.0) or 1.0
    middle = 60 + _BARS // 2 if any(row["bits"] < 0 for row in rows) else 60
    reach = _BARS // 2 if middle > 60 else _BARS
    parts = []
    for at, row in enumerate(rows):
        y = 30 + at * _ROW
        length = abs(row["bits"]) / widest * reach
        left = middle if row["bits"] >= 0 else middle - length
        parts += [
            f'<rect x="{left:.1f}" y="{y}" width="{max(length, 1):.1f}" height="14" '
            f'fill="{_FOR if row["bits"] >= 0 else _AGAINST}"/>',
            _text(52, y + 11, f"{row['bits']:+.1f}", "end"),
            f"<g><title>{escape(row['text'])}</title>"
            f"{_text(60 + _BARS + 12, y + 11, row['layer'].replace('_', ' ') + ': ' + row['text'][:90])}</g>",
        ]
    return _document(parts, title, 40 + len(rows) * _ROW)


def network(
    accounts: Sequence[str], entities: Sequence[tuple[str, str]], edges: Sequence[tuple[str, str, float]], title: str
) -> Picture:
    """Accounts as discs, entities (token, type) as squares, and what joins them (two names, weight)."""
    names = [*accounts, *(token for token, _ in entities)]
    place = {name: at for at, name in enumerate(names)}
    ends = np.array([(place[a], place[b]) for a, b, _ in edges], dtype=np.int64).reshape(-1, 2)
    found = layout(len(names), ends, np.array([weight for _, _, weight in edges], dtype=np.float64))
    low, high = found.min(axis=0, initial=0.0), found.max(axis=0, initial=1.0)
    points = (found - low) / np.maximum(high - low, 1e-9) * (_WIDTH - 60) + 30
    parts = [
        f'<line x1="{points[a][0]:.1f}" y1="{points[a][1]:.1f}" x2="{points[b][0]:.1f}" y2="{points[b][1]:.1f}" '
        f'stroke="#bbb" stroke-width="{min(3.0, 0.5 + weight / 8):.1f}"/>'
        for (a, b), (_, _, weight) in zip(ends.tolist(), edges, strict=True)
    ]
    for name, (x, y) in zip(accounts, points[: len(accounts)].tolist(), strict=True):
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{_ACCOUNT}"/>'
        parts.append(f"<g><title>{escape(name)}</title>{shape}</g>")
    for (token, kind), (x, y) in zip(entities, points[len(accounts) :].tolist(), strict=True):
        shape = f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{_ENTITY}"/>'
        parts.append(f"<g><title>{escape(kind.replace('_', ' '))} {escape(token)}</title>{shape}</g>")
    return _document(parts, title, _WIDTH)


def timeline(days: pd.DataFrame, title: str) -> Picture:
    """Events by day (`day`, `events`, `harmful`), the harmful ones at the foot of each bar."""
    if days.empty:
        return _document([_text(10, 40, "No events.")], title, 60)
    daily = days.set_index("day")[["events", "harmful"]].asfreq("D", fill_value=0)
    step = (_WIDTH - 20) / len(daily)
    top = max(int(daily["events"].max()), 1)
    parts = []
    for at, (events, harmful) in enumerate(daily.itertuples(index=False)):
        for count, colour in ((events, "#bbb"), (harmful, _FOR)):
            tall = count / top * 100
            if tall:
                parts.append(
                    f'<rect x="{10 + at * step:.1f}" y="{130 - tall:.1f}" width="{max(step - 0.5, 0.5):.1f}" '
                    f'height="{tall:.1f}" fill="{colour}"/>'
                )
    first, last = daily.index[0].date(), daily.index[-1].date()
    parts += [_text(10, 146, str(first)), _text(_WIDTH - 10, 146, f"{last}; at most {top:,} a day", "end")]
    return _document(parts, title, 156)


def _text(x: float, y: float, said: str, anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{_INK}">{escape(said)}</text>'


def _document(parts: Sequence[str], title: str, height: float) -> Picture:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" width="{_WIDTH}" role="img" '
        'font-family="sans-serif" font-size="11">'
    )
    return Picture(f"{head}<title>{escape(title)}</title>{_text(10, 18, title)}{''.join(parts)}</svg>\n")
