"""Self-contained HTML pages.

Nothing runs in them: there is no script, the policy of a page forbids every source but its own styles, and text is
escaped, with what acts on a screen spelled out. They work offline, print, and follow the reader's dark mode.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from ringwatch.export.text import escaped

_STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1c;--paper:#fff;--soft:#666;--line:#ccc;--for:#b3261e;--against:#1b6e3c;
--account:#2b5fb3;--entity:#9a6a00}
@media (prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#16181b;--soft:#aaa;--line:#444;--for:#ff8a80;
--against:#7bd89a;--account:#8ab4f8;--entity:#f0c060}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1000px;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse;width:100%}table+table{margin-top:1.2rem}
th,td{text-align:left;padding:.2rem .6rem .2rem 0;vertical-align:top;
border-bottom:1px solid var(--line)}td.n,th.n{text-align:right;white-space:nowrap}td:first-child{min-width:7.5rem}
td,h1,h2,li{overflow-wrap:anywhere;unicode-bidi:isolate}
svg{width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:var(--ink)}
.soft{color:var(--soft)}.for{fill:var(--for)}.against{fill:var(--against)}
.account{fill:var(--account)}.entity{fill:var(--entity)}
.tie{stroke:var(--account);stroke-opacity:.35}.use{stroke:var(--entity);stroke-opacity:.35}
.axis{stroke:var(--line)}code{font-size:.85em;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none;color:#000;background:#fff}h2{break-after:avoid}
tr,svg{break-inside:avoid}}
"""


def shown(text: Any) -> str:
    """Text as it may stand anywhere in the page: between tags and in attributes."""
    return html.escape(escaped(str(text)), quote=True)


def page(title: str, parts: Iterable[str]) -> bytes:
    """A document of parts that are markup already; `title` is text."""
    head = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy"'
        " content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">",
        '<meta name="referrer" content="no-referrer">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{shown(title)}</title><style>{_STYLE}</style></head><body><main>",
    ]
    return ("\n".join([*head, *parts, "</main></body></html>"]) + "\n").encode()


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, numbers: Sequence[int] = ()) -> str:
    """A table; `numbers` are the places of columns of numbers."""

    def cells(tag: str, row: Sequence[Any]) -> str:
        kinds = [' class="n"' if place in numbers else "" for place in range(len(row))]
        return "".join(f"<{tag}{kind}>{shown(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True))

    head = f"<thead><tr>{cells('th', columns)}</tr></thead>" if any(columns) else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table>{head}<tbody>{body}</tbody></table>"
