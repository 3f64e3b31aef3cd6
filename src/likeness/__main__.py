"""The command ``likeness``, also as ``python -m likeness``."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point. Ctrl-C and too little memory end it with one line also while modules are loaded."""
    try:
        from likeness.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    except (ImportError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "failed to map segment" not in str(error):
            raise
        sys.stderr.write("likeness: needs more memory than there is, already to start\n")
        sys.exit(2)
    try:
        run()
    except KeyboardInterrupt:  # a second one, while the first one's line was on its way
        sys.exit(130)


if __name__ == "__main__":
    main()
