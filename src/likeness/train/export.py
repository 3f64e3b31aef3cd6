"""`python -m likeness.train.export`: the old spelling of `likeness train export`."""

from __future__ import annotations

import sys

from likeness.cli.main import main

if __name__ == "__main__":
    main(["train", "export", *sys.argv[1:]])
