"""The command `likeness evaluate`: what is measured is printed as tables, and written as files."""

from __future__ import annotations

import sys

from likeness.cli.output import add_result
from likeness.evaluate.settings import Evaluate
from likeness.files import check_writable


def evaluate(settings: Evaluate) -> int:
    """Run ``likeness evaluate``; returns the exit code."""
    command = settings.action
    check_writable(command.out)
    from rich.console import Console

    from likeness.cli.display import display
    from likeness.cli.terminal import closing_lines, rich_tables
    from likeness.evaluate.run import evaluate as run_evaluation

    with display(lines=False) as steps:
        evaluation = run_evaluation(command, steps=steps)
    # A file or a pipe gets whole lines: numbers must not be folded to a width that nobody looks at.
    console = Console(width=None if sys.stdout.isatty() else 200)
    for line in evaluation.read:
        print(line)
    console.print(*rich_tables(evaluation.outcome), sep="\n")
    for line in closing_lines(evaluation):
        print(line)
    notes = (*evaluation.read, *evaluation.outcome.notes)
    add_result(command.input, files=evaluation.files, notes=notes, figures=evaluation.results)
    return 0
