"""An evaluation for the terminal: tables by rich. Nothing is printed here; the command line does."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from likeness.evaluate.outcome import Outcome
from likeness.evaluate.run import Evaluation
from likeness.evaluate.tables import Table

LISTED = 5


def rich_table(table: Table) -> RichTable:
    """A table as rich shows it."""
    shown = RichTable(title=table.title, title_justify="left")
    for number, column in enumerate(table.columns):
        # Names of people may hold brackets, which rich would take for markup.
        shown.add_column(Text(column), justify="left" if number == 0 else "right", overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(cell) for cell in row))
    return shown


def rich_tables(outcome: Outcome) -> list[RenderableType]:
    """All tables of an outcome as rich shows them, each with its note under it."""
    shown: list[RenderableType] = []
    for table in outcome.tables:
        shown += [rich_table(table), Text(table.note and f"{table.note}\n", style="dim")]
    return shown


def closing_lines(evaluation: Evaluation) -> list[str]:
    """What was left out, what was taken from or missing in the cache, and what was written."""
    outcome = evaluation.outcome
    lines = [*outcome.notes]
    if outcome.excluded:
        lines.append(f"left out: {len(outcome.excluded)}, all of them in results.json")
        lines += [f"  {one.item}: {one.reason}" for one in outcome.excluded[:LISTED]]
    if evaluation.damaged:
        lines.append(f"{evaluation.damaged} damaged cache entries were computed anew")
    lines.append("-> " + ", ".join(str(path) for path in evaluation.files))
    return lines
