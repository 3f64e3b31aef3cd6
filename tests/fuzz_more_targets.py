"""More readers: of models of other projects, meshes, labels, lists and networks."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz_content import PTS, encoded, npy, npz
from fuzz_damage import Target
from fuzz_targets import read_mesh, read_model
from glb_files import packed
from test_formats import WRITERS

from likeness.model.face_model import FaceModel

MODELS = (
    *("bfm-2009", "bfm-2009-compressed", "bfm-h5", "deep3d", "3ddfa", "3ddfa-protocol0", "flame-python2"),
    *("flame-protocol0", "flame-protocol2", "flame-protocol5", "flame-npz", "faceverse2", "faceverse3", "facescape"),
    *("eos1", "eos2", "eos3", "eos4"),
)
NEEDED = {"bfm-2009": "scipy", "bfm-2009-compressed": "scipy", "deep3d": "scipy", "bfm-h5": "h5py"}


def model_target(kind: str) -> Target:
    """A model as another project publishes it, in a folder of its own with what lies beside it."""

    def valid(model: FaceModel) -> bytes:
        pytest.importorskip(NEEDED.get(kind, "numpy"))
        with tempfile.TemporaryDirectory() as folder:
            return WRITERS[kind](Path(folder), model).path.read_bytes()

    return Target(NAMES[kind], valid, read_model)


NAMES = {
    **dict.fromkeys(("bfm-2009", "bfm-2009-compressed"), "01_MorphableModel.mat"),
    "bfm-h5": "model2019_face12.h5",
    "deep3d": "BFM_model_front.mat",
    **dict.fromkeys(("3ddfa", "3ddfa-protocol0"), "bfm_noneck_v3.pkl"),
    **dict.fromkeys(("flame-python2", "flame-protocol0", "flame-protocol2", "flame-protocol5"), "generic_model.pkl"),
    "flame-npz": "flame.npz",
    **dict.fromkeys(("faceverse2", "faceverse3"), "faceverse.npy"),
    "facescape": "facescape.npz",
    **dict.fromkeys(("eos1", "eos2", "eos3", "eos4"), "eos.bin"),
}


def annotation_bytes(_: FaceModel) -> bytes:
    stream = io.BytesIO()
    points = np.ones((3, 68), np.float32)
    savemat = pytest.importorskip("scipy.io").savemat
    savemat(stream, {"pt3d_68": points, "Pose_Para": np.zeros((1, 7), np.float32)}, do_compression=True)
    return stream.getvalue()


def glb_bytes(model: FaceModel) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        model.mesh(np.zeros(len(model.identity_basis))).save(Path(folder) / "a.glb")
        return (Path(folder) / "a.glb").read_bytes()


def triangle_glb(_: FaceModel) -> bytes:
    """A small one, so that most of what is damaged is what says what it is."""
    corners = np.eye(3, dtype=np.float32).tobytes()
    document = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "translation": [1, 2, 3]}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "buffers": [{"byteLength": len(corners) + 8}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": 6}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
    }
    return packed(document, corners + struct.pack("<4H", 0, 1, 2, 0))


def ascii_ply(_: FaceModel) -> bytes:
    head = b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    return (
        head + b"element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    )


def obj_text(_: FaceModel) -> bytes:
    return (
        b"# a\nv 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 1\nvt 0 0\nvt 1 0\nvt 0 1\nvn 0 0 1\nf 1/1/1 2/2/1 3/3/1\n"
    )


def stl_bytes(model: FaceModel) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        model.mesh(np.zeros(len(model.identity_basis))).save(Path(folder) / "a.stl")
        return (Path(folder) / "a.stl").read_bytes()


def codes_json(model: FaceModel) -> bytes:
    weights = dict.fromkeys(model.expression_names[:3], 0.5)
    return json.dumps({"identity": [0.5] * len(model.identity_basis), "expression": weights}).encode()


def embedding_bytes(_: FaceModel) -> bytes:
    content = {"full_lmk_faces_idx": np.arange(68)[None], "full_lmk_bary_coords": np.full((1, 68, 3), 1 / 3)}
    stream = io.BytesIO()
    np.save(stream, np.array(content, dtype=object), allow_pickle=True)
    return stream.getvalue()


def detector_checkpoint(_: FaceModel) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save({"kind": "likeness finder", "step": 3, "network": {"a": torch.ones(3)}}, stream)
    return stream.getvalue()


def recogniser_bytes(_: FaceModel) -> bytes:
    onnx = pytest.importorskip("onnx")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [make.make_node("GlobalAveragePool", ["a"], ["b"]), make.make_node("Flatten", ["b"], ["c"])]
    ends = [make.make_tensor_value_info(*one) for one in (("a", kind, ["n", 3, 112, 112]), ("c", kind, ["n", 3]))]
    graph = make.make_graph(nodes, "g", ends[:1], ends[1:])
    opset = [make.make_opsetid("", 17)]
    return bytes(make.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def evidence_arrays() -> dict[str, np.ndarray]:
    return {
        "key": np.array(["a", "b"]),
        "code": np.ones((2, 3), np.float32),
        "pictures": np.array([2, 3], np.int32),
        "halves": np.ones((2, 2, 3), np.float32),
    }


def label_arrays() -> dict[str, np.ndarray]:
    return {
        "key": np.array(["a/1", "b/2"]),
        "points": np.ones((2, 4, 2), np.int16),
        "presence": np.ones(2, np.float32),
        "std": np.ones((2, 4), np.float32),
    }


def map_bytes(_: FaceModel) -> bytes:
    from likeness.assets import asset

    return asset("surface_points.npz").read_bytes()


def reader(module: str, name: str, *more: Any) -> Callable[[Path, FaceModel], Any]:
    """A function of a module, imported when it is used; ``more``: its further arguments, or what makes them of the
    model."""

    def read(path: Path, model: FaceModel) -> Any:
        import importlib

        target: Any = importlib.import_module(module)
        for part in name.split("."):
            target = getattr(target, part)
        return target(path, *(one(model) if callable(one) else one for one in more))

    return read


def vertices_of(model: FaceModel) -> int:
    return len(model.mean)


def read_teacher(path: Path, _: FaceModel) -> Any:
    from likeness.networks.recogniser import Teacher

    return Teacher.load(path, threads=1)


def read_detector(path: Path, _: FaceModel) -> Any:
    pytest.importorskip("torch")
    from likeness.train.detector.trainer import read_detector_checkpoint

    return read_detector_checkpoint(path)


def text(*lines: str) -> Callable[[FaceModel], bytes]:
    return lambda _: "\n".join([*lines, ""]).encode()


FORMATS = "likeness.model.formats"
MORE: dict[str, Target] = {
    **{f"model {kind}": model_target(kind) for kind in MODELS},
    "landmarks of eos": Target(
        "a.txt",
        text(*(f"{n} = {3 * n}" for n in range(1, 69))),
        reader(f"{FORMATS}.landmark_mappings", "read_landmarks"),
    ),
    "contours of eos": Target(
        "a.json",
        lambda _: json.dumps({"model_contour": {"right_contour": [1, 2, 3], "left_contour": [4, 5]}}).encode(),
        reader(f"{FORMATS}.landmark_mappings", "read_contours"),
    ),
    "landmarks of FLAME": Target(
        "a.npy",
        embedding_bytes,
        reader(f"{FORMATS}.flame_companions", "read_embedding", lambda model: model.topology.triangles),
    ),
    "masks of FLAME": Target(
        "a.pkl",
        lambda _: pickle.dumps({"face": np.arange(20), "neck": np.arange(30, 40)}),
        reader(f"{FORMATS}.flame_companions", "read_masks", vertices_of),
    ),
    "mesh .glb": Target("a.glb", glb_bytes, read_mesh),
    "mesh .glb, small": Target("a.glb", triangle_glb, read_mesh),
    "mesh .stl": Target("a.stl", stl_bytes, read_mesh),
    "mesh .ply, ASCII": Target("a.ply", ascii_ply, read_mesh),
    "mesh .obj, small": Target("a.obj", obj_text, read_mesh),
    "verification set": Target(
        "a.bin",
        lambda _: pickle.dumps(([encoded(kind) for kind in (".png", ".jpg", ".bmp", ".webp")], [True, False]), 2),
        reader("likeness.datasets.bin_sets", "read_bin"),
    ),
    "annotation of AFLW2000-3D": Target(
        "a.mat", annotation_bytes, reader("likeness.datasets.annotations", "read_aflw2000_mat")
    ),
    "pairs of LFW": Target(
        "pairs.txt",
        text("2\t1", "anna\t1\t2", "anna\t1\tberta\t1", "anna\t2\t3", "anna\t2\tberta\t1"),
        reader("likeness.datasets.pairs", "read_lfw_pairs"),
    ),
    "names": Target("a.txt", text("# who", "anna", "berta"), reader("likeness.datasets.pairs", "read_names")),
    "landmarks of a scan to register": Target(
        "a.txt",
        text(*(f"{n} {n % 7} {n % 5}.5" for n in range(51))),
        reader("likeness.register.initial_pose", "read_landmarks"),
    ),
    "hand-placed points": Target(
        "a.tem",
        text("189", *(f"{n}.5 {n}" for n in range(189)), "0"),
        reader("likeness.datasets.hand_placed", "read_tem"),
    ),
    "numbers of vertices": Target(
        "a.txt", text("1, 2 3", "40"), reader("likeness.evaluate.inputs", "read_vertex_numbers")
    ),
    "labels of points": Target(
        "a.npz", lambda _: npz(**label_arrays()), reader("likeness.datasets.dense_labels", "read_point_labels", 4)
    ),
    "shapes of people": Target(
        "a.npz", lambda _: npz(**evidence_arrays()), reader("likeness.train.photos.evidence", "read_evidence", 3)
    ),
    "map of points": Target("a.npz", map_bytes, reader("likeness.model.surface_points", "PointMap.load")),
    "points to fit .pts": Target("a.pts", lambda _: PTS, reader("likeness.cli.point_files", "_read_points")),
    "points to fit .json": Target(
        "a.json",
        lambda _: json.dumps({"landmarks": np.eye(68, 2).tolist(), "photo_size": [640, 480]}).encode(),
        reader("likeness.cli.point_files", "_read_points"),
    ),
    "points to fit .npy": Target(
        "a.npy", lambda _: npy(np.eye(68, 2)), reader("likeness.cli.point_files", "_read_points")
    ),
    "points to fit .npz": Target(
        "a.npz", lambda _: npz(points=np.eye(68, 2)), reader("likeness.cli.point_files", "_read_points")
    ),
    "surface to fit": Target(
        "a.npz",
        lambda _: npz(vertices=np.zeros((5, 3), int), weights=np.full((5, 3), 1 / 3), offsets=np.zeros((5, 3))),
        reader("likeness.cli.point_files", "_surface"),
    ),
    "codes to transfer .json": Target(
        "a.json", codes_json, reader("likeness.cli.code_files", "read_codes", lambda model: model)
    ),
    "codes to transfer .npz": Target(
        "a.npz",
        lambda model: npz(identity=np.ones((3, len(model.identity_basis)))),
        reader("likeness.cli.code_files", "read_codes", lambda model: model),
    ),
    "recogniser": Target("a.onnx", recogniser_bytes, read_teacher),
    "checkpoint of a detector": Target("checkpoint.pt", detector_checkpoint, read_detector),
}
"""As :data:`fuzz_targets.TARGETS`; MediaPipe's network is missing, which nothing here can write."""
