"""Measures of faces: meshes, codes and landmarks to numbers.

    from likeness.metrics import Samples, recognisability_of_codes
    print(recognisability_of_codes(Samples(codes, labels)).auc)

The names below are what most callers need; they are loaded at first use. More is in the modules they come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from likeness.lazy import lazy_names

if TYPE_CHECKING:
    from likeness.errors import Excluded
    from likeness.metrics.landmark_error import landmark_errors
    from likeness.metrics.recognisability import compare_domains, recognisability_of_codes, recognisability_of_meshes
    from likeness.metrics.records import Estimate, Pairs, Samples
    from likeness.metrics.shape_space import clustering, code_statistics, compactness, generalisation, specificity
    from likeness.metrics.verification import verify, verify_distances

_HOMES = {  # the readers have moved to `likeness.datasets`; their old door still leads there
    "Estimate": "metrics.records",
    "Excluded": "errors",
    "Pairs": "metrics.records",
    "Samples": "metrics.records",
    "clustering": "metrics.shape_space",
    "code_statistics": "metrics.shape_space",
    "compactness": "metrics.shape_space",
    "compare_domains": "metrics.recognisability",
    "generalisation": "metrics.shape_space",
    "landmark_errors": "metrics.landmark_error",
    "read_aflw2000": "datasets.annotations",
    "read_bin": "datasets.bin_sets",
    "read_lfw_pairs": "datasets.pairs",
    "read_names": "datasets.pairs",
    "read_pair_csv": "datasets.pairs",
    "recognisability_of_codes": "metrics.recognisability",
    "recognisability_of_meshes": "metrics.recognisability",
    "specificity": "metrics.shape_space",
    "verify": "metrics.verification",
    "verify_distances": "metrics.verification",
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

__getattr__, __dir__ = lazy_names("likeness.metrics", _HOMES)
