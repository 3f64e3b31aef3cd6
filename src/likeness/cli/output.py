"""What a command gives: lines for people, or with ``--json`` one document for programs.

A document is the same for all commands (docs/cli.md):

- ``schema`` (int): :data:`SCHEMA`; grows when a field goes or changes its meaning, not when one is added;
- ``likeness`` (str): the version; ``command`` (str): its words, such as ``models info``;
- ``exit_code`` (int), and ``error`` (str or null): the line that ended the command;
- ``results`` (list): one for each input, in their order, of which something became or nothing could become;
- ``files`` (list of str) and ``figures`` (object): of the whole run.

A result has ``inputs`` (list of str), ``error`` (str or null), ``notes`` (list of str), ``files`` (list of str: what
was written) and ``figures`` (object: numbers and names, with their units in their names). Numbers that are not finite
are null, and names are as they can be printed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from likeness.errors import StrPath, printable
from likeness.files import json_bytes
from likeness.version import __version__

SCHEMA = 1


@dataclass
class Document:
    """What a command has given so far."""

    results: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def text(self, command: str, exit_code: int) -> str:
        """As JSON."""
        told = {"schema": SCHEMA, "likeness": __version__, "command": command, "exit_code": exit_code}
        return json_bytes({**told, **vars(self)}).decode()


_document = Document()
_is_quiet = False


def add_result(
    *inputs: StrPath,
    files: Iterable[StrPath] = (),
    error: object = None,
    notes: Iterable[str] = (),
    figures: dict[str, Any] | None = None,
) -> None:
    """Put on record what became of an input, or of several together."""
    _document.results.append(
        {
            "inputs": [printable(one) for one in inputs],
            "error": None if error is None else printable(str(error)),
            "notes": [printable(one) for one in notes if one],
            "files": [printable(one) for one in files],
            "figures": figures or {},
        }
    )


def add_to_run(files: Iterable[StrPath] = (), figures: dict[str, Any] | None = None) -> None:
    """Put on record what belongs to all inputs together."""
    _document.files += [printable(one) for one in files]
    _document.figures |= figures or {}


def complain(message: object) -> None:
    """A line about something that went wrong; ``--quiet`` does not keep it back."""
    print(f"likeness: {message}", file=sys.stderr)


def is_quiet() -> bool:
    """Whether nobody wants to hear how far the work is."""
    return _is_quiet


@contextlib.contextmanager
def recorded(*, as_json: bool = False, quiet: bool = False) -> Iterator[Document]:
    """Within, a command runs: what it puts on record is collected, what it prints goes where it belongs.

    Args:
        as_json: standard output is for the document alone; lines go to standard error.
        quiet: lines go nowhere, but for those of :func:`complain`.

    Yields:
        What is collected.
    """
    global _document, _is_quiet
    before, _document, _is_quiet = (_document, _is_quiet), Document(), quiet
    try:
        with contextlib.ExitStack() as stack:
            if quiet:
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
            elif as_json:
                stack.enter_context(contextlib.redirect_stdout(sys.stderr))
            yield _document
    finally:
        _document, _is_quiet = before
