"""`python -m likeness.train.export`: the old spelling of :mod:`likeness.train.photos.export`."""

from __future__ import annotations

from likeness.train.photos.export import main

if __name__ == "__main__":
    main()
