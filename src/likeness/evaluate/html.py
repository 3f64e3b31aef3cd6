"""`report.html`: one file that shows a whole evaluation and needs nothing outside itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from likeness.errors import Excluded
from likeness.evaluate.outcome import Gallery, Outcome, Plot
from likeness.evaluate.pictures import jpeg_uri, png_uri
from likeness.evaluate.tables import Table
from likeness.images.encode import png_bytes
from likeness.version import __version__

LISTED = 200
"""Exclusions that are listed in the page; all of them are in results.json."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 2rem auto; max-width: 76rem;
       padding: 0 1.2rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.input, figcaption, .note { color: #666; font-size: .88rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap;
         font-variant-numeric: tabular-nums; }
th { font-weight: 600; border-bottom: 1px solid #888; } th:first-child, td:first-child { text-align: left; }
.plots, .cards { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; } figure img { display: block; max-width: 100%; }
.cards figure { border: 1px solid #e4e4e4; padding: .4rem; }
details { margin-top: 1rem; } li { font-size: .88rem; }
"""


def report(title: str, settings: Mapping[str, Any], outcome: Outcome) -> bytes:
    """The page, UTF-8.

    Args:
        title: of the evaluation.
        settings: what it was made with, shown under the title.
        outcome: what it found.
    """
    shown = ", ".join(f"{name} {value}" for name, value in settings.items())
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="input">likeness {escape(__version__)}; {escape(shown)}</p>',
        *(f'<p class="note">{escape(note)}</p>' for note in outcome.notes),
        *(_table(table) for table in outcome.tables),
        _plots(outcome.plots),
        *(_gallery(gallery) for gallery in outcome.galleries),
        _panel(outcome),
        _excluded(outcome.excluded),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    ).encode(errors="backslashreplace")


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<h2>{escape(table.title)}</h2><div class="wide"><table>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>{note}"
    )


def _plots(plots: Sequence[Plot]) -> str:
    if not plots:
        return ""
    # As an image of its own, because the ids inside two SVGs of one page would be mixed up.
    figures = (
        f'<figure><img alt="{escape(plot.title)}" src="data:image/svg+xml;base64,'
        f'{base64.b64encode(plot.svg).decode()}"><figcaption>{escape(plot.caption)}</figcaption></figure>'
        for plot in plots
    )
    return f'<h2>Plots</h2><div class="plots">{"".join(figures)}</div>'


def _gallery(gallery: Gallery) -> str:
    if not gallery.pictures:
        return ""
    figures = (
        f'<figure><img alt="{escape(text)}" src="{jpeg_uri(picture)}">'
        f"<figcaption>{escape(text)}</figcaption></figure>"
        for picture, text in gallery.pictures
    )
    caption = f'<p class="note">{escape(gallery.caption)}</p>' if gallery.caption else ""
    return f'<h2>{escape(gallery.title)}</h2>{caption}<div class="cards">{"".join(figures)}</div>'


def _panel(outcome: Outcome) -> str:
    if outcome.panel is None:
        return ""
    return (
        "<h2>Do shapes of one person look alike?</h2>"
        '<p class="note">For each photo: the neutral shape without colour, and its distance in millimetres to the '
        "mean of the same person's other photos and to the mean of the other people. The number is the root mean "
        "square over the face.</p>"
        f'<div class="wide"><img alt="people by photos" src="{png_uri(png_bytes(outcome.panel))}"></div>'
    )


def _excluded(excluded: Sequence[Excluded]) -> str:
    if not excluded:
        return '<p class="note">Nothing was left out.</p>'
    lines = "".join(f"<li>{escape(one.item)}: {escape(one.reason)}</li>" for one in excluded[:LISTED])
    more = f"<li>and {len(excluded) - LISTED} more, in results.json</li>" if len(excluded) > LISTED else ""
    return f"<details open><summary>Left out: {len(excluded)}</summary><ul>{lines}{more}</ul></details>"
