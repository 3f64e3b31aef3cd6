"""What MkDocs does not do by itself: files of the repository as pages, links to lines of code, formulas as MathML.

The site needs no network, neither to be built nor to be read: formulas are MathML, which browsers draw themselves.
"""

from __future__ import annotations

import html
import os
import re
import sys
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

from code_lines import DOCS, ROOT, line_of, links

FOLDER = "repository"
"""Where files of the repository are on the site."""

LANGUAGES = {".py": "python", ".sh": "bash", ".json": "json", ".toml": "toml", ".cff": "yaml", ".html": "html"}

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)

SIZED = {r"\lvert": r"\left|", r"\rvert": r"\right|", r"\lVert": r"\left\|", r"\rVert": r"\right\|"}
BARS = re.compile("|".join(re.escape(bar) + r"(?![a-zA-Z])" for bar in SIZED))
"""Bars that grow with what is between them; a plain bar would end a cell of a table."""

ROLE = re.compile(r":(?:func|class|mod|meth|attr|data):<code>~?([^<]+)</code>")
"""Sphinx's way to name things in docstrings."""

CODE = re.compile(r'(href="[^"#]+\.py\.html)("[^>]* title="[^"]+, line (\d+)")')
"""A link to a line of code; its anchor comes last, because MkDocs looks for anchors before code is numbered."""

_origin: dict[str, Path] = {}
"""Page -> the file of the repository that it shows."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file outside of ``docs`` that a page links to."""
    _origin.clear()
    waiting = [DOCS / file.src_uri for file in files.documentation_pages()]
    while waiting:
        place = waiting.pop()
        if place.suffix != ".md":
            continue
        for link in links(place.read_text()):
            path = _target(place, link["target"])
            uri = None if path is None else _page_of(path)
            if path is None or uri is None or uri in _origin:
                continue
            _origin[uri] = path
            files.append(File.generated(config, uri, content=_content(path)))
            waiting.append(path)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where things are on the site."""
    place = _origin.get(page.file.src_uri, DOCS / page.file.src_uri)
    pieces, done = [], 0
    for link in links(markdown):
        path = _target(place, link["target"])
        if path is None:
            continue
        start, end = link.start("target") - 1, link.end()
        pieces += [markdown[done:start], f"({_link(page, path, link)})"]
        done = end
    return "".join(pieces) + markdown[done:]


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas, lines of code, names of docstrings."""

    def drawn(found: re.Match[str]) -> str:
        display = "block" if found[1] == "div" else "inline"
        latex = BARS.sub(lambda bar: SIZED[bar[0]], html.unescape(found[2]))
        return f'<{found[1]} class="formula">{convert(latex, display=display)}</{found[1]}>'

    content = CODE.sub(r"\1#__codelineno-0-\3\2", content)
    return ROLE.sub(r"<code>\1</code>", FORMULA.sub(drawn, content))


def _target(place: Path, target: str) -> Path | None:
    """The file that a link of a file leads to; None where it leads elsewhere."""
    address = target.partition("#")[0]
    if not address or re.match(r"[a-z]+:", address):
        return None
    path = Path(os.path.normpath(place.parent / address))
    return path if path.exists() and path.is_relative_to(ROOT) else None


def _page_of(path: Path) -> str | None:
    """The page that shows a file that is none of the site; None for those of the site."""
    if path.is_relative_to(DOCS) and not path.is_relative_to(DOCS / "tools"):
        return None
    relative = path.relative_to(ROOT).as_posix()
    return f"{FOLDER}/{relative}" if path.suffix == ".md" else f"{FOLDER}/{relative}.md"


def _link(page: Page, path: Path, link: re.Match[str]) -> str:
    """What stands in the brackets of a link: address, and the title if it says something to readers."""
    uri = _page_of(path) or path.relative_to(DOCS).as_posix()
    anchor = link["target"].partition("#")[2]
    title = link["title"]
    if title and path.suffix == ".py":
        try:
            line = line_of(path, title)
        except LookupError as error:
            raise PluginError(f"{page.file.src_uri}: {error}") from error
        anchor, title = "", f"{path.name}, line {line.number}"
    address = os.path.relpath(uri, os.path.dirname(page.file.src_uri) or ".")
    return address + (f"#{anchor}" if anchor else "") + (f' "{title}"' if title else "")


def _content(path: Path) -> str:
    """A page that shows a file, or what is in a folder."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        return "\n".join([f"# `{name}/`\n", *(f"- `{file.name}`" for file in sorted(path.glob("*.*"))), ""])
    text = path.read_text()
    if path.suffix == ".md":
        return text
    head = "---\nsearch:\n  exclude: true\nhide:\n  - toc\n---\n"
    language = LANGUAGES.get(path.suffix, "text")
    return f'{head}\n# `{name}`\n\n``````{language} linenums="1"\n{text}\n``````\n'
