"""Small face models, written in exactly the layouts in which other projects publish theirs."""

from __future__ import annotations

import io
import json
import pickle
import struct
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from likeness import FaceModel

RNG = np.random.default_rng(7)
Formula = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass
class Written:
    """A file, and the format's own formula: codes, weights -> (V, 3) in the file's units and axes."""

    path: Path
    formula: Formula
    sizes: tuple[int, int]


def flat(basis: np.ndarray) -> np.ndarray:
    """(K, V, 3) -> (3V, K)."""
    return basis.reshape(len(basis), -1).T


def unit_columns(basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(3V, K) -> columns of length 1, and their lengths (K,)."""
    lengths = np.linalg.norm(basis, axis=0)
    return basis / lengths, lengths


def linear(mean: np.ndarray, identity: np.ndarray, expression: np.ndarray) -> Formula:
    return lambda codes, weights: (mean.ravel() + identity @ codes + expression @ weights).reshape(-1, 3)


def landmark_vertices(model: FaceModel) -> np.ndarray:
    """(68,) the vertices nearest to the model's landmarks, contour points at their outermost candidates."""
    points = model.landmark_map.gather(model.mean)
    points = np.concatenate([points[51:].reshape(17, -1, 3)[:, -1], points[:51]])
    return np.linalg.norm(model.mean[:, None] - points, axis=-1).argmin(0)


def write_bfm_2009(folder: Path, model: FaceModel, compressed: bool) -> Written:
    from scipy.io import savemat

    mean = model.mean.reshape(-1, 1) * np.float32(1e3)  # micrometres
    components, deviations = unit_columns(flat(model.identity_basis) * 1e3)
    arrays = {
        "shapeMU": mean.astype(np.float32),
        "shapePC": components.astype(np.float32),
        "shapeEV": deviations.reshape(-1, 1).astype(np.float32),
        "texMU": np.tile(np.float32([[180], [140], [120]]), (len(model.mean), 1)),
        "texPC": RNG.standard_normal((mean.size, 4)).astype(np.float32),
        "texEV": np.float32([[8], [4], [2], [1]]),
        "tl": model.topology.triangles[:, [0, 2, 1]].astype(np.float64) + 1,  # clockwise, from 1
        "segbin": np.ones((len(model.mean), 4), np.uint8),
        "note": "text is skipped",
    }
    path = folder / "01_MorphableModel.mat"
    savemat(path, arrays, do_compression=compressed)
    formula = linear(mean, components * deviations, np.zeros((mean.size, 0)))
    return Written(path, formula, (components.shape[1], 0))


def write_deep3d(folder: Path, model: FaceModel) -> Written:
    """Deep3DFaceRecon's BFM_model_front.mat: decimetres, everything in rows, counted from 1."""
    from scipy.io import savemat

    mean, identity, expression = (
        flat(x) * 0.01 for x in (model.mean[None], model.identity_basis, model.expression_basis[:6])
    )
    arrays = {
        "meanshape": mean.T,
        "idBase": identity,
        "exBase": expression,
        "meantex": np.tile([[180.0, 140.0, 120.0]], (1, len(model.mean))),
        "texBase": RNG.normal(0, 5, (mean.size, 3)),
        "tri": model.topology.triangles[:, [0, 2, 1]] + 1,  # clockwise
        "keypoints": landmark_vertices(model)[None] + 1,
        "point_buf": np.ones((len(model.mean), 8)),
    }
    path = folder / "BFM_model_front.mat"
    savemat(path, {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in arrays.items()})
    return Written(path, linear(mean, identity, expression), (len(model.identity_basis), 6))


def write_3ddfa(folder: Path, model: FaceModel, companions: bool = True, protocol: int = 4) -> Written:
    """3DDFA_V2's bfm_noneck_v3.pkl: micrometres; triangles and standard deviations in ../configs."""
    mean, identity, expression = (
        flat(x) * 1e3 for x in (model.mean[None], model.identity_basis, model.expression_basis[:4])
    )
    deviations = RNG.uniform(1e3, 1e5, 12 + identity.shape[1] + 4)
    shape, face = deviations[12 : 12 + identity.shape[1]], deviations[-4:]
    content = {
        "u": mean.astype(np.float32),
        "w_shp": (identity / shape).astype(np.float32),
        "w_exp": (expression / face).astype(np.float32),
        "keypoints": (3 * landmark_vertices(model)[:, None] + np.arange(3)).ravel(),
    }
    path = folder / "bfm" / "bfm_noneck_v3.pkl"
    for parent in (path.parent, folder / "configs"):
        parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    if companions:
        triangles = np.asfortranarray(model.topology.triangles.T)
        (folder / "configs" / "tri.pkl").write_bytes(pickle.dumps(triangles, protocol))
        statistics = pickle.dumps({"mean": 0 * deviations, "std": deviations.astype(np.float32)}, protocol)
        (folder / "configs" / "param_mean_std_62d_120x120.pkl").write_bytes(statistics)
        return Written(path, linear(mean, identity, expression), (identity.shape[1], 4))
    return Written(path, linear(mean, identity / shape, expression / face), (identity.shape[1], 4))


def write_guo_expressions(folder: Path, model: FaceModel, kept: np.ndarray) -> np.ndarray:
    """Exp_Pca.bin, std_exp.txt and BFM_exp_idx.mat for the vertices ``kept``; returns (3N, E) micrometres."""
    from scipy.io import savemat

    components, deviations = unit_columns(flat(model.expression_basis[:7, kept]) * 1e3)
    with (folder / "Exp_Pca.bin").open("wb") as stream:
        stream.write(struct.pack("<i", 7))
        stream.write(np.zeros(3 * len(kept), "<f4").tobytes())
        stream.write(components.T.astype("<f4").tobytes())
    (folder / "std_exp.txt").write_text("\n".join(f"{value:.8e}" for value in deviations) + "\n")
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": kept.reshape(-1, 1) + 1})
    return components * deviations


def write_bfm_h5(folder: Path, model: FaceModel, name: str = "model2019_face12.h5") -> Written:
    import h5py

    bases = {"shape": model.identity_basis, "expression": model.expression_basis[:9], "color": model.albedo_basis[:3]}
    means = {
        "shape": model.mean.ravel(),
        "expression": RNG.normal(0, 0.1, model.mean.size),
        "color": np.tile([0.7, 0.55, 0.45], len(model.mean)),
    }
    scaled = {}
    with h5py.File(folder / name, "w") as file:
        for key, basis in bases.items():
            components, deviations = unit_columns(flat(basis))
            file[f"{key}/model/mean"] = means[key].astype(np.float32)
            file[f"{key}/model/pcaBasis"] = components.astype(np.float32)
            file[f"{key}/model/pcaVariance"] = (deviations**2).astype(np.float32)
            file[f"{key}/model/noiseVariance"] = np.float32([0])
            file[f"{key}/representer/points"] = model.mean.T
            file[f"{key}/representer/cells"] = model.topology.triangles.T
            scaled[key] = components * deviations
        corners = zip(("right.eye.corner_outer", "right.eye.corner_inner", "left.eye.corner_inner",
                       "left.eye.corner_outer"), model.mean[landmark_vertices(model)][[36, 39, 42, 45]],
                      strict=True)  # fmt: skip
        file["metadata/landmarks/json"] = json.dumps([{"id": i, "coordinates": p.tolist()} for i, p in corners])
    formula = linear(means["shape"] + means["expression"], scaled["shape"], scaled["expression"])
    return Written(folder / name, formula, (len(model.identity_basis), 9))


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its str: opcode BINSTRING, or as text in protocol 0."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_binstring(self, data: bytes) -> None:
        if self.bin:
            self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        else:
            self.write(pickle.STRING + repr(data)[1:].encode("ascii") + b"\n")
        self.memoize(data)

    dispatch[bytes] = save_binstring


def flame_arrays(model: FaceModel) -> tuple[dict[str, np.ndarray], Formula]:
    mean = model.mean.astype(np.float64) * 1e-3  # metres
    directions = RNG.normal(0, 1e-3, (len(mean), 3, 400))
    arrays = {"v_template": mean, "shapedirs": directions, "f": model.topology.triangles.astype(np.uint32)}
    both = directions.reshape(-1, 400)
    return arrays, linear(mean, both[:, :300], both[:, 300:])


def write_flame_pickle(folder: Path, model: FaceModel, python2: bool = True, protocol: int = 2) -> Written:
    """As published: a dict pickled with chumpy arrays and a SciPy matrix; chumpy is only pretended."""
    from scipy.sparse import csc_matrix

    module = types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, x: np.ndarray) -> None:
            self.x = x
            self._parents = None

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch  # type: ignore[attr-defined]
    arrays, formula = flame_arrays(model)
    content: dict[str, Any] = {
        "f": arrays["f"],
        "J_regressor": csc_matrix(np.eye(5, len(model.mean))),
        "v_template": np.asfortranarray(arrays["v_template"]),
        "shapedirs": Ch(arrays["shapedirs"]),
        "kintree_table": np.array([[-1, 0, 1], [0, 1, 2]], ">i8"),
        "bs_style": "lbs",
        "eye_regularizer": np.float64(1.5),
    }
    stream = io.BytesIO()
    sys.modules["chumpy"], sys.modules["chumpy.ch"] = types.ModuleType("chumpy"), module
    try:
        (Python2Pickler if python2 else pickle.Pickler)(stream, protocol).dump(content)
    finally:
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]
    data = stream.getvalue()
    if python2:  # NumPy's module in the days of Python 2
        data = data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    path = folder / "generic_model.pkl"
    path.write_bytes(data)
    return Written(path, formula, (300, 100))


def write_flame_companions(folder: Path, model: FaceModel, tensors: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """landmark_embedding.npy and FLAME_masks.pkl; returns the landmarks (68, 3) mm of the mean and eyeballs (V,)."""
    faces = np.array([np.flatnonzero((model.topology.triangles == v).any(1))[0] for v in landmark_vertices(model)])
    weights = RNG.dirichlet([5, 1, 1], 68)
    embedding: dict[str, Any] = {
        "static_lmk_faces_idx": faces[17:], "static_lmk_bary_coords": weights[17:],
        "dynamic_lmk_faces_idx": np.stack([faces[:17], faces[17:34]]),
        "dynamic_lmk_bary_coords": np.stack([weights[:17], weights[17:34]]),
    }  # fmt: skip
    if tensors:  # as in DECA, where some are torch's
        import torch

        for name in ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords"):
            embedding[name] = torch.from_numpy(embedding[name])
        embedding |= {"full_lmk_faces_idx": faces[None], "full_lmk_bary_coords": weights[None]}
    np.save(folder / "landmark_embedding.npy", np.array(embedding, object), allow_pickle=True)
    number = np.arange(len(model.mean))
    regions = model.topology.regions
    masks = {
        "face": number[regions["face"]],
        "left_eyeball": number[:3],
        "right_eyeball": number[3:6],
        "nose": number[7:9],
    }
    (folder / "FLAME_masks.pkl").write_bytes(pickle.dumps(masks, 2))
    points = (model.mean[model.topology.triangles[faces]] * weights[..., None]).sum(1)
    return points, number < 6


def write_flame_npz(folder: Path, model: FaceModel) -> Written:
    arrays, formula = flame_arrays(model)
    np.savez(folder / "flame2023.npz", **arrays)
    return Written(folder / "flame2023.npz", formula, (300, 100))


def write_faceverse(folder: Path, model: FaceModel, version: int) -> Written:
    """Version 2: decimetres, y down, z into the head, iBUG points; version 3: millimetres, MediaPipe's points."""
    names = [*model.expression_names[::-1]]
    scale = np.array([1, -1, -1]) * 0.01 if version == 2 else np.ones(3)
    mean = model.mean * scale
    identity, expression = (flat(basis * scale) for basis in (model.identity_basis, model.expression_basis[::-1]))
    at = landmark_vertices(model)
    content: dict[str, Any] = {
        "meanshape": mean.reshape(1, -1).astype(np.float32),
        "idBase": identity.astype(np.float32),
        "meantex": np.full((1, mean.size), 150, np.float32),
        "texBase": RNG.standard_normal((mean.size, 5)).astype(np.float32),
        "tri": model.topology.triangles.astype(np.int64),
        "point_buf": np.zeros((len(mean), 8), np.int64),
    }
    if version == 2:
        content |= {"exBase": expression.astype(np.float32), "exp_name_list": names, "keypoints": at}
    else:
        points = np.zeros((1, 478), np.int64)
        points[0, [33, 133, 362, 263, 1, 152]] = at[[36, 39, 42, 45, 30, 8]]
        content |= {
            "exBase": RNG.standard_normal((mean.size, 171)),
            "exBase_52": expression.astype(np.float32),
            "exp_name_list_52": np.array(names),
            "mediapipe_keypoints": points,
        }
    path = folder / f"faceverse_v{version}.npy"
    np.save(path, np.array(content, object), allow_pickle=True)
    formula = linear(mean, identity, expression)
    return Written(path, lambda codes, weights: formula(codes, weights[::-1]), (identity.shape[1], 52))


def write_facescape(folder: Path, model: FaceModel, quads: bool = False) -> Written:
    size, count = 6, len(model.mean)
    person = RNG.normal(0, 0.3, size) + np.eye(size)[0]
    core = RNG.normal(0, 0.2, (3 * count, 52, size))
    core[:, :, 0] += model.mean.reshape(-1, 1) / person[0] - (core[:, :1] @ person) / person[0]
    triangles = model.topology.triangles
    faces = np.column_stack([triangles, triangles[:, 2]]) if quads else triangles
    front = np.flatnonzero(model.mean[:, 2] > 0)
    rows = np.arange(len(front))
    rows[::5] = -1
    arrays = {
        "shape_bm_core": core.astype(np.float32),
        "id_mean": person,
        "id_var": np.linspace(0.5, 0.1, size),
        "fv_indices": faces + 1,
        "ft_indices": faces + 1,
        "texcoords": model.topology.uv,
        "lm_list_v16": landmark_vertices(model),
        "v_indices_front": front,
        "vc_dict_front": rows,
        "color_bm_mean": np.tile([90.0, 120.0, 180.0], len(front)),
        "color_bm_core": RNG.standard_normal((3 * len(front), 4)),
        "vert_num": np.array(count),
        "sym_dict": np.array({"not": "needed"}, object),
    }
    path = folder / "facescape_bm_v1.6_847_50_52_id_front.npz"
    np.savez_compressed(path, **arrays)
    core = arrays["shape_bm_core"].astype(np.float64)

    def formula(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        who = person + np.sqrt(arrays["id_var"]) * codes
        return (core @ who @ np.concatenate([[1 - weights.sum()], weights])).reshape(-1, 3)

    return Written(path, formula, (size, 51))


def matrix(values: np.ndarray) -> bytes:
    """cereal's form of an Eigen matrix."""
    values = values.reshape(len(values), -1)
    return struct.pack("<ii", *values.shape) + values.T.astype("<f4").tobytes()


def pca(mean: np.ndarray, basis: np.ndarray, variances: np.ndarray, triangles: np.ndarray) -> bytes:
    body = matrix(mean) + matrix(basis) + matrix(variances)
    return body + struct.pack("<Q", len(triangles)) + triangles.astype("<i4").tobytes()


def cereal_text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def write_eos(folder: Path, model: FaceModel, version: int, expression: str = "pca") -> Written:
    """An eos model of version 1 to 4, from 2 with an expression model: ``pca``, ``blendshapes`` or ``none``."""
    components, deviations = unit_columns(flat(model.identity_basis))
    triangles, mean = model.topology.triangles, model.mean.ravel()
    shapes = flat(model.expression_basis[:4])
    color = pca(np.full(mean.size, 0.5), RNG.normal(0, 0.01, (mean.size, 3)), np.ones(3), triangles)
    body = struct.pack("<I", version) + pca(mean, components, deviations**2, triangles) + color
    offset = np.zeros(mean.size)
    if version >= 2 and expression == "pca":
        offset = RNG.normal(0, 0.1, mean.size)
        unit, lengths = unit_columns(shapes)
        body += struct.pack("<Bi", 0, 0) + pca(offset, unit, lengths**2, triangles)
    elif version >= 2 and expression == "blendshapes":
        body += struct.pack("<BiQ", 0, 1, 4)
        body += b"".join(cereal_text(f"shape{i}") + matrix(shapes[:, i]) for i in range(4))
    elif version >= 2:
        body += struct.pack("<B", 1)
    if version >= 3:
        body += struct.pack("<BQ", 0, 1) + cereal_text("nose") + struct.pack("<i", 3)
    body += struct.pack("<Q", len(model.mean)) + model.topology.uv.astype("<f8").tobytes()
    if version >= 4:
        body += struct.pack("<Q", len(triangles)) + triangles.astype("<i4").tobytes()
    path = folder / f"eos{version}.bin"
    path.write_bytes(body)
    if version == 1 or expression == "none":
        shapes = np.zeros((mean.size, 0))
    return Written(
        path, linear(mean + offset, components * deviations, shapes), (components.shape[1], shapes.shape[1])
    )
