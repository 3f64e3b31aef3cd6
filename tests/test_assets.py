"""The embedded default is whole, small, and fits together."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from likeness import FileError, assets

FOLDER = Path(assets.__file__).parent
PROVENANCE = json.loads((FOLDER / "provenance.json").read_text())


def test_all_assets_are_small_and_as_recorded() -> None:
    assert (
        sum(path.stat().st_size for path in FOLDER.iterdir() if path.suffix != ".py" and path.is_file()) < 16 * 2**20
    )
    for name, digest in PROVENANCE["sha256"].items():
        assert hashlib.sha256(assets.asset(name).read_bytes()).hexdigest() == digest


def test_a_damaged_asset_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in FOLDER.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    data = bytearray((tmp_path / "regressor.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "regressor.onnx").write_bytes(bytes(data))
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    with pytest.raises(FileError, match=r"regressor\.onnx.*damaged"):
        assets.asset("regressor.onnx")
    (tmp_path / "provenance.json").unlink()
    with pytest.raises(FileError, match="reinstall"):
        assets.asset("face_model.npz")


def test_provenance_says_what_went_in() -> None:
    assert set(PROVENANCE) >= {"data", "commit", "figures", "face_model", "training", "versions", "sha256"}
    assert PROVENANCE["face_model"]["folded_triangles"] == 0
    assert PROVENANCE["face_model"]["face_distance_mm_mean"] < 0.3
