"""`python -m likeness.train.morphs`: the old spelling of `likeness train morphs`."""

from __future__ import annotations

import sys

from likeness.cli.main import main

if __name__ == "__main__":
    main(["train", "morphs", *sys.argv[1:]])
