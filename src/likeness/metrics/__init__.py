"""Measures of faces: meshes, codes and landmarks to numbers.

    from likeness.metrics import Samples, recognisability_of_codes
    print(recognisability_of_codes(Samples(codes, labels)).auc)

The names below are what most callers need; they are loaded at first use. More is in the modules they come from.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likeness.metrics.bin_sets import read_bin
    from likeness.metrics.landmarks import landmark_errors, read_aflw2000
    from likeness.metrics.pair_files import Pairs, read_lfw_pairs, read_names, read_pair_csv
    from likeness.metrics.recognisability import compare_domains, recognisability_of_codes, recognisability_of_meshes
    from likeness.metrics.records import Estimate, Excluded, Samples
    from likeness.metrics.space import clustering, code_statistics, compactness, generalisation, specificity
    from likeness.metrics.verification import verify, verify_distances

_HOMES = {
    "Estimate": "records",
    "Excluded": "records",
    "Pairs": "pair_files",
    "Samples": "records",
    "clustering": "space",
    "code_statistics": "space",
    "compactness": "space",
    "compare_domains": "recognisability",
    "generalisation": "space",
    "landmark_errors": "landmarks",
    "read_aflw2000": "landmarks",
    "read_bin": "bin_sets",
    "read_lfw_pairs": "pair_files",
    "read_names": "pair_files",
    "read_pair_csv": "pair_files",
    "recognisability_of_codes": "recognisability",
    "recognisability_of_meshes": "recognisability",
    "specificity": "space",
    "verify": "verification",
    "verify_distances": "verification",
}

__all__ = [
    "Estimate",
    "Excluded",
    "Pairs",
    "Samples",
    "clustering",
    "code_statistics",
    "compactness",
    "compare_domains",
    "generalisation",
    "landmark_errors",
    "read_aflw2000",
    "read_bin",
    "read_lfw_pairs",
    "read_names",
    "read_pair_csv",
    "recognisability_of_codes",
    "recognisability_of_meshes",
    "specificity",
    "verify",
    "verify_distances",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'likeness.metrics' has no attribute {name!r}")
    return getattr(importlib.import_module(f"likeness.metrics.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
