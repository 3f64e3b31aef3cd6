"""Training of the face detector, and its export.

    likeness train detector --data DATA --model FACE_MODEL --synthetic FOLDER --out FOLDER --resume

DATA holds photos/video-train.tar and photos/photo-train.tar; the folder of synthetic faces is the one of
:mod:`likeness.train.generate.rendered`, made with FACE_MODEL. Writes ``checkpoint.pt`` and ``finder.onnx``.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from likeness.errors import FileError, MissingExtraError, StrPath
from likeness.files import file_digest, write_atomically
from likeness.networks.detector import map_names
from likeness.train.checkpoint import CHECKPOINT, MovingAverage, read_state, taking_up, write_state
from likeness.train.detector.network import DetectorNet, detector_loss, encode
from likeness.train.detector.scenes import SceneMaker
from likeness.train.photos.export import OPSET, _store_half
from likeness.train.settings import DetectorSettings

KIND = "likeness finder"
WHAT = "a checkpoint of a detector"
FILE = "finder.onnx"
SIDE = 192
"""The training scenes' side, pixels."""


class SceneBatches(Dataset):
    """Batches by the number of their step: a pure function of seed and step.

    Args:
        maker: of the scenes.
        settings: batch and seed.
        side: the scenes' side, pixels.
    """

    def __init__(self, maker: SceneMaker, settings: DetectorSettings, side: int = SIDE) -> None:
        self.maker, self.settings, self.side = maker, settings, side

    def __len__(self) -> int:
        return self.settings.steps

    def __getitem__(self, step: int) -> tuple[Tensor, list[Tensor]]:
        """Images (2 b, S, S, 3) uint8 and targets, one (2 b, 6, S/s, S/s) per stride; the second half mirrored."""
        size = (self.side, self.side)
        scenes = [self.maker((self.settings.seed, step, k), size) for k in range(self.settings.batch)]
        scenes += [scene.mirrored() for scene in scenes]
        targets = [encode(scene.faces, scene.ignored, size) for scene in scenes]
        images = torch.from_numpy(np.stack([scene.image for scene in scenes]))
        return images, [torch.from_numpy(np.stack(level)) for level in zip(*targets, strict=True)]


def train_detector(
    maker: SceneMaker,
    out: StrPath,
    settings: DetectorSettings,
    *,
    start: StrPath | None = None,
    resume: bool = False,
    workers: int = 1,
    threads: int = 0,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> DetectorNet:
    """Train, with checkpoints; the averaged network comes back.

    Args:
        maker: of the scenes.
        out: folder of ``checkpoint.pt``.
        settings: see there.
        start: the checkpoint of an earlier training whose averaged weights this one begins with; None: random ones.
        resume: go on from the checkpoint if there is one.
        workers: processes that make scenes; 0: none beside this one.
        threads: of torch; 0: its own choice.
        report: is told step and mean losses now and then.

    Raises:
        FileError: a checkpoint cannot be used, or was made with other settings or from another start.
    """
    from lightning.fabric import Fabric

    if threads:
        torch.set_num_threads(threads)
    fabric = Fabric(devices=1, precision=settings.precision)
    fabric.launch()
    torch.manual_seed(settings.seed)
    plain = DetectorNet()
    if start is not None:
        _load_average(plain, start)
    started = "" if start is None else file_digest(start)
    average = MovingAverage(plain, settings.ema)
    network, optimizer = fabric.setup(plain, torch.optim.AdamW(_groups(plain, settings), lr=settings.learning_rate))
    path, first = Path(out) / CHECKPOINT, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    if resume and path.is_file():
        first = _continue(path, settings, started, plain, average.module, optimizer)
    batches = Subset(SceneBatches(maker, settings), range(first, settings.steps))
    loader = DataLoader(batches, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None)
    seen: list[dict[str, float]] = []
    plain.train()
    for step, (images, targets) in enumerate(loader, first):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        total, terms = detector_loss(network(images.to(fabric.device)), [t.to(fabric.device) for t in targets])
        optimizer.zero_grad()
        fabric.backward(total)
        fabric.clip_gradients(network, optimizer, max_norm=settings.clip)
        optimizer.step()
        average.update(plain, step)
        seen.append({name: float(value.detach()) for name, value in terms.items()})
        done = step + 1
        if report is not None and (done % 25 == 0 or done == settings.steps):
            report(done, {name: float(np.mean([row[name] for row in seen])) for name in seen[0]})
            seen.clear()
        if done % settings.save_every == 0 or done == settings.steps:
            state = {"kind": KIND, "step": done, "settings": asdict(settings), "start": started}
            learned = {"network": plain, "average": average.module, "optimizer": optimizer}
            write_state(path, {**state, **{name: part.state_dict() for name, part in learned.items()}})
    return average.module.eval()


def _groups(network: DetectorNet, settings: DetectorSettings) -> list[dict[str, Any]]:
    """Parameters, with and without weight decay."""
    decay = [p for p in network.parameters() if p.ndim > 1]
    rest = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": decay, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]


def _continue(
    path: Path, settings: DetectorSettings, started: str, network: nn.Module, average: nn.Module, optimizer: Any
) -> int:
    """Take up a checkpoint; the number of steps that it has behind it."""
    state = read_detector_checkpoint(path)
    with taking_up(path, WHAT):
        if state["settings"] != asdict(settings):
            raise FileError(path, f"expected a training with {asdict(settings)}, got {state['settings']}")
        if state.get("start", "") != started:
            raise FileError(path, "expected a training that began with the same weights")
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])


def read_detector_checkpoint(path: StrPath) -> dict[str, Any]:
    """The contents of a detector's ``checkpoint.pt``: kind, step, settings, network, average, optimizer.

    Raises:
        FileError: missing, damaged, or not a checkpoint of a detector.
    """
    return read_state(path, KIND, WHAT)


def _load_average(network: nn.Module, checkpoint: StrPath) -> None:
    state = read_detector_checkpoint(checkpoint)
    with taking_up(checkpoint, WHAT):
        network.load_state_dict(state["average"])


def detector_onnx_bytes(network: DetectorNet) -> bytes:
    """The ONNX file of a detector: ``image`` (n, h, w, 3) uint8 RGB -> ``stride8``, ``stride16``, ``stride32``.

    Normalisation is folded into the convolutions, weights are stored as half floats
    (:mod:`likeness.train.photos.export`).
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("the export to ONNX", "train") from error
    buffer = io.BytesIO()
    axes = {name: {0: "n", 2: f"{name}_h", 3: f"{name}_w"} for name in map_names()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecation
        torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 64, 96, 3, dtype=torch.uint8),),
            buffer,  # type: ignore[arg-type]  # its annotation forgets files
            input_names=["image"],
            output_names=map_names(),
            dynamic_axes={"image": {0: "n", 1: "h", 2: "w"}, **axes},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    _store_half(model)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def export_detector(checkpoint: StrPath, out: StrPath) -> None:
    """Write the averaged network of a checkpoint as ONNX.

    Raises:
        FileError: the checkpoint cannot be read, or the file cannot be written.
    """
    network = DetectorNet()
    _load_average(network, checkpoint)
    write_atomically(out, detector_onnx_bytes(network))
