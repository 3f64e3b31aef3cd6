"""`python -m likeness.train.finder`: the old spelling of `likeness train detector`."""

from __future__ import annotations

import sys

from likeness.cli.main import main

if __name__ == "__main__":
    main(["train", "detector", *sys.argv[1:]])
