"""`python -m likeness.train.synthetic`: the old spelling of `likeness train synthetic`."""

from __future__ import annotations

import sys

from likeness.cli.main import main

if __name__ == "__main__":
    main(["train", "synthetic", *sys.argv[1:]])
