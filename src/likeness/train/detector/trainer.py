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
from torch.utils.data import Dataset

from likeness.errors import MissingExtraError, StrPath
from likeness.files import file_digest, write_atomically
from likeness.networks.detector import map_names
from likeness.train.checkpoint import CHECKPOINT, MovingAverage, read_state, refuse_another_run, taking_up
from likeness.train.detector.network import DetectorNet, detector_loss, encode
from likeness.train.detector.scenes import SceneMaker
from likeness.train.loop import Loop, loaded
from likeness.train.optimiser import descend, parameter_groups
from likeness.train.photos.export import OPSET, _store_half
from likeness.train.settings import DetectorSettings, Progress

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


class DetectorTrainer:
    """One run; :func:`train_detector` drives it, see there for the arguments."""

    def __init__(
        self,
        maker: SceneMaker,
        out: Path,
        settings: DetectorSettings,
        start: StrPath | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> None:
        from lightning.fabric import Fabric

        self.maker, self.settings, self.path = maker, settings, out / CHECKPOINT
        self.fabric = Fabric(devices=1, precision=settings.precision)
        self.fabric.launch()
        torch.manual_seed(settings.seed)
        self.bare = DetectorNet()
        if start is not None:
            _load_average(self.bare, start)
        self.start = "" if start is None else file_digest(start)
        self.average = MovingAverage(self.bare, settings.ema)
        groups = parameter_groups(self.bare.parameters(), settings.schedule)
        optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
        self.network, self.optimizer = self.fabric.setup(self.bare, optimizer)
        self.loop = Loop(
            settings.steps,
            settings.batch,
            self.path,
            self.state,
            self.optimizer,
            report=report,
            save_seconds=settings.save_seconds,
            fabric=self.fabric,
        )

    def run(self, workers: int) -> DetectorNet:
        """Train to the end of the budget; the averaged network."""
        batches = loaded(SceneBatches(self.maker, self.settings), range(self.loop.step, self.loop.steps), workers)
        self.bare.train()
        with self.loop.opened():
            self.loop.run(batches, self._learn)
            self.loop.save()
        return self.average.module.eval()

    def state(self) -> dict[str, Any]:
        """All that going on takes."""
        return {
            "kind": KIND,
            "step": self.loop.step,
            "settings": asdict(self.settings),
            "start": self.start,
            "network": self.bare.state_dict(),
            "average": self.average.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def take_up(self) -> None:
        """Go on from the checkpoint.

        Raises:
            FileError: it cannot be used, or was made with other settings or from another start.
        """
        state = {"start": "", **read_detector_checkpoint(self.path)}
        with taking_up(self.path, WHAT):
            refuse_another_run(self.path, state, self.settings.decisive(), {"start": self.start})
            self.bare.load_state_dict(state["network"])
            self.average.module.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.loop.step = int(state["step"])

    def _learn(self, batch: tuple[Tensor, list[Tensor]]) -> dict[str, Tensor]:
        images, targets = batch
        device = self.fabric.device
        total, terms = detector_loss(self.network(images.to(device)), [level.to(device) for level in targets])
        self.loop.stop_if_broken(total, terms)
        self.fabric.backward(total)
        descend(self.optimizer, self.settings.schedule, self.loop.step, self.loop.steps)
        self.average.update(self.bare, self.loop.step)
        return {"total": total, **terms}


def train_detector(
    maker: SceneMaker,
    out: StrPath,
    settings: DetectorSettings,
    *,
    start: StrPath | None = None,
    resume: bool = False,
    workers: int = 1,
    threads: int = 0,
    report: Callable[[Progress], None] | None = None,
) -> DetectorNet:
    """Train, with checkpoints; the averaged network comes back.

    Args:
        maker: of the scenes.
        out: folder of ``checkpoint.pt`` and the TensorBoard files.
        settings: see there.
        start: the checkpoint of an earlier training whose averaged weights this one begins with; None: random ones.
        resume: go on from the checkpoint if there is one.
        workers: processes that make scenes; 0: none beside this one.
        threads: of torch; 0: its own choice.
        report: hears of the progress.

    Raises:
        FileError: a checkpoint cannot be used, or was made with other settings or from another start.
        likeness.train.loop.TrainingError: a loss is not finite.
    """
    if threads:
        torch.set_num_threads(threads)
    trainer = DetectorTrainer(maker, Path(out), settings, start, report)
    if resume and trainer.path.is_file():
        trainer.take_up()
    return trainer.run(workers)


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
