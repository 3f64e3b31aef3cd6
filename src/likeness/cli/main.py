"""The command line: parse, call, print. Exit code 0: all went well; 1: a training gave nothing better; 2: some input
could not be used; 130: somebody stopped it."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from inspect import cleandoc
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import tyro

from likeness.cli.completion import WRITES, Completion
from likeness.cli.evaluate import evaluate
from likeness.cli.fit import Fit
from likeness.cli.models import Models
from likeness.cli.output import Document, complain, recorded
from likeness.cli.reconstruct import Reconstruct, reconstruct
from likeness.cli.register import Register, register
from likeness.cli.serve import Serve, serve
from likeness.cli.streams import lasting_streams
from likeness.cli.train import Train, describe_recipe
from likeness.cli.training import train
from likeness.cli.view import View, view
from likeness.errors import FileWarning, LikenessError, as_file_error, is_out_of_memory, printable
from likeness.evaluate.settings import Evaluate
from likeness.result_folder import nothing_empty_left
from likeness.version import __version__


def _fit(settings: Fit) -> int:
    from likeness.cli.point_files import fit_files

    return fit_files(settings)


def _models(settings: Models) -> int:
    from likeness.cli.model_files import models

    return models(settings)


RUNS: dict[type, Callable[[Any], int]] = {
    Reconstruct: reconstruct,
    Fit: _fit,
    Register: register,
    Train: train,
    Evaluate: evaluate,
    Models: _models,
    View: view,
    Serve: serve,
}
"""What each command runs, with its settings; it gives the exit code."""


@dataclass
class Likeness:
    """Photographs in, rigged 3D heads out; and the face models and measurements behind them."""

    command: (
        Annotated[Reconstruct, tyro.conf.subcommand("reconstruct")]
        | Annotated[Fit, tyro.conf.subcommand("fit")]
        | Annotated[Register, tyro.conf.subcommand("register")]
        | Annotated[Train, tyro.conf.subcommand("train")]
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[Models, tyro.conf.subcommand("models")]
        | Annotated[View, tyro.conf.subcommand("view")]
        | Annotated[Serve, tyro.conf.subcommand("serve")]
        | Annotated[Completion, tyro.conf.subcommand("completion")]
    )
    json: Annotated[bool, tyro.conf.CascadeSubcommandArgs, tyro.conf.FlagCreatePairsOff] = False
    """Print one JSON document (docs/cli.md) on standard output; lines go to standard error."""
    quiet: Annotated[
        bool, tyro.conf.CascadeSubcommandArgs, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(aliases=["-q"])
    ] = False
    """Print nothing but what goes wrong, and the document of --json."""
    version: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(aliases=["-V"])] = False
    """Print the version, and do nothing."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command ``likeness``."""
    given = sys.argv[1:] if arguments is None else arguments
    with lasting_streams() as lost:
        code = _run(given)
    if lost:
        print(f"likeness: what was printed is not all there ({lost[0]})", file=sys.stderr)
        code = code or 2
    if code:
        sys.exit(code)


def _run(given: list[str]) -> int:
    """Parse and run; returns the exit code. SystemExit where help is asked for, or something that is no command."""
    if {"--version", "-V"} & {*takewhile(lambda word: word.startswith("-"), given)}:
        print(f"likeness {__version__}")
        return 0
    empty = _empty_argument(given)
    if empty:
        complain(empty)
        return _refused(given, empty)
    try:
        asked = _parsed(given)
    except SystemExit as stop:
        if stop.code:
            _refused(given, "the arguments are not understood; standard error says why")
        raise
    if isinstance(asked.command, Completion):
        _parsed([WRITES, asked.command.shell])
    with recorded(as_json=asked.json, quiet=asked.quiet) as document:
        code = _exit_code(asked.command, document)
    if asked.json:
        print(document.text(words_of(asked.command), code), end="")
    return code


def _empty_argument(given: list[str]) -> str:
    """What is wrong with an argument of no letters, as an unset variable of a shell gives it; empty: there is none.

    As a path it would be the current folder, and nothing else that is asked for can be empty.
    """
    for before, word in zip(["", *given], given, strict=False):
        option, mark, value = word.partition("=")
        if mark and not value and option.startswith("-"):
            return f"expected something behind {printable(option)}=, got nothing"
        if not word:
            where = f" behind {printable(before)}" if before.startswith("-") else ""
            return f"expected a path or a value{where}, got an empty argument"
    return ""


def _refused(given: list[str], reason: str) -> int:
    """The exit code of arguments that are not understood, and the document of it where one is asked for."""
    if "--json" in given:
        word = next((word for word in given if word and not word.startswith("-")), "")
        print(Document(error=reason).text(word, 2), end="")
    return 2


def _join_lines_of_help() -> None:
    """Have tyro join the lines of an option's text: those that are indented in the source it takes for lines of their
    own, which breaks help in the middle of sentences (tyro 1.0.17). Where its insides differ, help stays as it is."""
    strings: Any = vars(tyro).get("_strings")
    join = getattr(strings, "remove_single_line_breaks", None)
    if join is not None and not hasattr(join, "dedents"):

        def joined(text: str) -> str:
            return str(join(cleandoc(text)))

        joined.dedents = True  # type: ignore[attr-defined]
        strings.remove_single_line_breaks = joined


def _parsed(given: list[str]) -> Likeness:
    """What is asked for; SystemExit where that cannot be understood, or help is asked for."""
    describe_recipe(given)
    _join_lines_of_help()
    return tyro.cli(
        Likeness, prog="likeness", args=given, config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes)
    )


def words_of(command: Any) -> str:
    """A command as it is called: ``models info``."""
    parts = [command, *([command.action] if hasattr(command, "action") else [])]
    return " ".join(re.sub(r"(?<=.)([A-Z])", r"-\1", type(part).__name__).lower() for part in parts)


def _exit_code(command: Any, document: Document) -> int:
    """Run a command; what ends it early is a line."""
    # Of commands with an action that is what has an output.
    out = getattr(getattr(command, "action", command), "out", None)
    try:
        with _defects_told(), nothing_empty_left(out) if isinstance(out, Path) else nullcontext():
            return RUNS[type(command)](command)
    except KeyboardInterrupt:
        code, message = 130, "stopped; what was written stays"
    except (LikenessError, ValueError) as error:
        code, message = 2, printable(str(error))
    except Exception as error:
        if not (isinstance(error, OSError) or is_out_of_memory(error)):
            raise
        code, message = 2, as_file_error("this machine", error).reason
    document.error = message
    complain(message)
    return code


@contextmanager
def _defects_told() -> Iterator[None]:
    """A line for each file of which something was left out, in place of Python's two with a line of code."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", FileWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, FileWarning):
                print(f"likeness: {message}", file=sys.stderr)
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield


if __name__ == "__main__":
    main()
