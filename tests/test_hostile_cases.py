"""The collected files that once crashed, where they lie beside the repository: each is read or refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fuzz_targets import TARGETS
from test_fuzz import bounded

from likeness import FaceModel, FileError
from likeness.assets import asset

HOSTILE = Path(__file__).parents[2] / "shared" / "cases" / "hostile"
READERS = {
    "fuzz_codes": "codes",
    "fuzz_lmarrays": "landmark arrays",
    "fuzz_lmfiles_json": "landmark file .json",
    "fuzz_lmfiles_npy": "landmark file .npy",
    "fuzz_results": "result",
    "fuzz_evalnotes": "note in a folder",
    "fuzz_cache": "cache",
    "fuzz_encoder": "encoder",
    "fuzz_meshes": "registered meshes",
    "fuzz_table": "table of meshes",
    "fuzz_told": "teacher's notes",
    "fuzz_ckpt": "checkpoint",
    "fuzz_train_tar": "tar to train on",
    "fuzz_eval_tar": "tar to measure",
    "badutf": "tar to measure",
    "fuzz_own": "face model",
    "fuzz_network": "network",
}
FILES = sorted(HOSTILE.iterdir()) if HOSTILE.is_dir() else []


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


@pytest.mark.skipif(not FILES, reason="no collection of hostile files beside the repository")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_is_read_or_refused(file: Path, model: FaceModel, tmp_path: Path) -> None:
    name = next((name for start, name in READERS.items() if file.name.startswith(start)), "JPEG")
    target = TARGETS[name]
    path = tmp_path / target.name
    path.parent.mkdir(exist_ok=True)
    shutil.copy(file, path)
    with bounded():
        try:
            target.read(path, model)
        except FileError as error:
            assert "\n" not in str(error)  # noqa: PT017
    if file.name.startswith(("exif_", "fuzz_exif_", "png_exif_")):
        target.read(path, model)  # a good photo whose EXIF is odd
