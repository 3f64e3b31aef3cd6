"""The page itself: one HTML file with script, style and heads inside, which may load nothing from anywhere."""

from __future__ import annotations

import base64
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

from likeness.errors import FileError, StrPath, printable
from likeness.files import write_atomically
from likeness.version import __version__
from likeness.view.heads import ViewedHead
from likeness.view.pack import pack

BUILT = Path(__file__).parent / "built"

CELL_HEIGHT = 640
"""CSS pixels of a page in a notebook."""

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


@dataclass(frozen=True, eq=False)
class Page:
    """Heads to look at; a notebook shows it when it is a cell's last value.

    Args:
        heads: at least one.
        title: of the page.
    """

    heads: Sequence[ViewedHead]
    title: str = "likeness"

    def __post_init__(self) -> None:
        if not self.heads:
            raise ValueError("expected at least one head to show, got none")

    @cached_property
    def html(self) -> str:
        """The whole page."""
        packed = base64.b64encode(pack(self.heads)).decode()
        title = escape(printable(self.title))
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<meta name="generator" content="likeness {escape(__version__)}">'
            f"<style>{built('viewer.css')}</style></head>\n<body>\n"
            f'<noscript>This page needs JavaScript and WebGL.</noscript><div id="likeness"></div>\n'
            f'<script type="text/plain" id="heads">{packed}</script>\n<script>{built("viewer.js")}</script>\n'
            f"</body></html>\n"
        )

    def save(self, path: StrPath) -> None:
        """Write the page; raises FileError."""
        write_atomically(path, self.html.encode())

    def open(self) -> Path:
        """Write the page to a temporary file and open it in the browser; returns the file."""
        with tempfile.NamedTemporaryFile(prefix="likeness-", suffix=".html", delete=False) as stream:
            stream.write(self.html.encode())
        path = Path(stream.name)
        open_in_browser(path)
        return path

    def _repr_html_(self) -> str:
        """What Jupyter, VS Code and Colab show: the page in a frame of its own."""
        return (
            f'<iframe title="{escape(printable(self.title))}" srcdoc="{escape(self.html)}" width="100%" '
            f'height="{CELL_HEIGHT}" style="border:0;border-radius:8px" allow="fullscreen"></iframe>'
        )


def built(name: str) -> str:
    """A file that ``make web`` built, as text.

    Raises:
        FileError: it is not there.
    """
    try:
        return (BUILT / name).read_text(encoding="utf-8")
    except OSError as error:
        raise FileError(BUILT / name, "is missing; reinstall likeness3d, or run `make web` in its sources") from error


def open_in_browser(path: Path) -> bool:
    """Ask the desktop's browser to show a file; whether there is one."""
    try:
        return webbrowser.open(path.absolute().as_uri())
    except webbrowser.Error:
        return False
