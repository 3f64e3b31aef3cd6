"""`python -m likeness.train.morphs`: the old spelling of :mod:`likeness.train.generate.morphs`."""

from __future__ import annotations

from likeness.train.generate.morphs import main

if __name__ == "__main__":
    main()
