"""One reader of .npz for every file of ours, one opener of networks: messages name the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.assets import asset
from likeness.errors import FileError
from likeness.model.codes import ShapeEncoder
from likeness.model.face_model import FaceModel
from likeness.networks.detector import Detector
from likeness.networks.recogniser import Teacher
from likeness.networks.regressor import Network
from likeness.networks.session import open_session
from likeness.readers import read_npz


def test_what_was_written_is_read(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6).reshape(2, 3), "name": np.array("x"), "none": np.zeros((0, 3), np.float32)}
    np.savez(tmp_path / "a.npz", **arrays)
    found = read_npz(tmp_path / "a.npz", "arrays")
    assert found.keys() == arrays.keys()
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype


def spoiled(tmp_path: Path) -> dict[str, Path]:
    np.savez(tmp_path / "whole.npz", a=np.zeros(1000))
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.npz").write_text("no arrays")
    np.savez(tmp_path / "objects.npz", a=np.array([{}], object))
    np.save(tmp_path / "single.npy", np.zeros(3))
    paths = [tmp_path / name for name in ("none.npz", "cut.npz", "text.npz", "objects.npz", "single.npy")]
    return {path.stem: path for path in [*paths, tmp_path]}


@pytest.mark.parametrize("read", [lambda p: read_npz(p, "arrays"), FaceModel.load, ShapeEncoder.load])
def test_what_cannot_be_read_is_named_whoever_reads(read: Callable[[Path], Any], tmp_path: Path) -> None:
    for path in spoiled(tmp_path).values():
        with pytest.raises(FileError, match="expected") as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_an_array_that_claims_too_much_is_not_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(100_000))
    assert len(read_npz(tmp_path / "a.npz", "arrays")["a"]) == 100_000
    with pytest.raises(FileError, match="larger than 1000 bytes; expected arrays"):
        read_npz(tmp_path / "a.npz", "arrays", 1000)


@pytest.mark.parametrize("load", [Network.load, Detector.load, Teacher.load])
def test_networks_that_cannot_be_opened_are_named_alike(load: Callable[[Path], Any], tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.onnx: no such file; expected a .* \(\.onnx\)"):
        load(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_bytes(b"no network")
    with pytest.raises(FileError, match=r"text\.onnx: cannot be read as ONNX"):
        load(tmp_path / "text.onnx")


def test_a_session_keeps_to_its_threads_and_tells_nobody() -> None:
    session = open_session(asset("finder.onnx"), "a face detector", threads=1)
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
