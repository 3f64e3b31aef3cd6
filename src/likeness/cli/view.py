"""The command `likeness view`: heads as one page that works without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from likeness.arguments import MaybePath
from likeness.cli.output import add_result, add_to_run, complain
from likeness.errors import printable

MOST = 60
"""Heads on a page; each adds about 0.2 MB to it."""


@dataclass
class View:
    """Results, meshes and face models in, one page to look at them out: it works offline and opens in the browser."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Results (.json, .glb), meshes (.obj, .ply, .stl, .glb), face models (.npz and others' formats), or folders of
    results. Photos come from where the results say they are."""
    out: Annotated[MaybePath, tyro.conf.arg(aliases=["-o"])] = None
    """The page to write; without, NAME.html of the first file, in this folder."""
    open: bool = True
    """Open the page in the browser."""
    model: MaybePath = None
    """Another face model than the embedded one, which the results were made with."""
    overwrite: bool = False
    """Replace a file of that name even if it is no earlier page of the same files."""


def view(settings: View) -> int:
    """Run ``likeness view``; returns the exit code."""
    if not settings.files:
        raise ValueError("expected at least one file or folder to show")
    from likeness.cli.batches import progress
    from likeness.model.formats import load_model
    from likeness.result_folder import ResultFolder, Source
    from likeness.view.files import Heads
    from likeness.view.page import Page, open_in_browser

    first = settings.files[0]
    out = settings.out or Path(f"{first.stem or first.resolve().name or 'heads'}.html")
    source = Source.of(*(path for path in settings.files if path.exists()))
    target = ResultFolder(out.parent, "view", overwrite=settings.overwrite)
    target.check(out.name, [out.name], source)
    reader = Heads(None if settings.model is None else load_model(settings.model))
    heads, excluded = reader.read(settings.files, MOST, lambda paths: progress(paths, "heads"))
    for one in excluded:
        complain(f"{one.item}: {one.reason}")
        add_result(one.item, error=one.reason)
    if not heads:
        return 2
    named = [head.name for head in heads.values()]
    page = Page(list(heads.values()), ", ".join(named[:3]) + (" ..." if len(named) > 3 else ""))
    target.save(out.name, source, lambda stage: page.save(stage / out.name))
    for path, head in heads.items():
        add_result(path, notes=[head.note])
    add_to_run([out], {"heads": len(heads), "bytes": out.stat().st_size})
    megabytes = out.stat().st_size / 1e6
    print(f"{len(heads)} head{'s' * (len(heads) != 1)} -> {printable(out)} ({megabytes:.1f} MB)")
    if settings.open and not open_in_browser(out):
        print(f"open {printable(out.absolute())} in a browser")
    return 2 if excluded else 0
