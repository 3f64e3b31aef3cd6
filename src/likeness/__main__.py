"""``python -m likeness`` is the command ``likeness``."""

from likeness.cli import main

main()
