"""`python -m likeness.train.finder`: the old spelling of :mod:`likeness.train.detector.trainer`."""

from __future__ import annotations

from likeness.train.detector.trainer import main

if __name__ == "__main__":
    main()
