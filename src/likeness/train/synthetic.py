"""`python -m likeness.train.synthetic`: the old spelling of :mod:`likeness.train.generate.rendered`."""

from __future__ import annotations

from likeness.train.generate.rendered import main

if __name__ == "__main__":
    main()
