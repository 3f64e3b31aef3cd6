"""A head that a session keeps, and the forms in which it is given out."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from likeness.errors import printable
from likeness.images.encode import jpeg_bytes
from likeness.reconstruct.comparison import Compared
from likeness.reconstruct.person import Person
from likeness.reconstruct.result import Reconstruction, head_files
from likeness.view.heads import ViewedHead
from likeness.view.pack import pack

FORMATS = ("glb", "obj", "json")
TEXTURE_QUALITY = 95

MEDIA_TYPES = {
    "glb": "model/gltf-binary",
    "obj": "model/obj",
    "json": "application/json",
    "jpg": "image/jpeg",
    "zip": "application/zip",
    "pack": "application/octet-stream",
}

LONGEST_TITLE = 80


@dataclass(frozen=True, eq=False)
class Upload:
    """A photo that a session keeps.

    Args:
        id: of the photo.
        title: what the user calls it.
        data: the file's bytes.
        preview: a smaller JPEG of it, upright.
    """

    id: str
    title: str
    data: bytes
    preview: bytes

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self.data) + len(self.preview)


@dataclass(frozen=True, eq=False)
class Head:
    """A head that a session keeps.

    Args:
        id: of the head, ``head-1`` or ``person-1``.
        title: what the user may call it.
        result: a face or a person, without pixels.
        skin: (S, S, 3) uint8, its texture if it has one.
        portrait: JPEG of it at rest.
        photo: id of the photo that shows it (best).
        members: the heads that a person was made of.
    """

    id: str
    title: str
    result: Reconstruction | Person
    skin: np.ndarray | None
    portrait: bytes
    photo: str
    members: tuple[Head, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of memory, about: texture, portrait, and the numbers of a result."""
        return (0 if self.skin is None else self.skin.nbytes) + len(self.portrait) + (1 << 19)

    @property
    def face(self) -> Reconstruction:
        """The face, or the person's in the photo that tells most."""
        return self.result if isinstance(self.result, Reconstruction) else self.result.best

    @property
    def identity(self) -> np.ndarray:
        """(K,) the code."""
        return self.result.coefficients.identity if isinstance(self.result, Reconstruction) else self.result.identity

    @property
    def compared(self) -> Compared:
        """The head as :func:`likeness.reconstruct.comparison.compare` takes it."""
        faces = self.members or (self,)
        return Compared(self.identity, tuple(one.face for one in faces), tuple(one.photo for one in faces))

    @cached_property
    def file_name(self) -> str:
        """What its files are called: the title's plain letters and the id, never a path."""
        plain = re.sub(r"[^A-Za-z0-9]+", "-", self.title).strip("-")[:40]
        return f"{plain}-{self.id}" if plain else self.id

    def to_dict(self) -> dict[str, Any]:
        """What the API says of it: where its files are, and the numbers of a result's JSON."""
        place = f"/v1/heads/{self.id}"
        links = {form: f"{place}/{self.file_name}.{form}" for form in (*FORMATS, "zip", "pack")}
        links |= {"portrait": f"{place}/portrait.jpg", "photo": f"{place}/photo.jpg"}
        if self.skin is not None:
            links["texture"] = f"{place}/texture.jpg"
        return {
            "id": self.id,
            "title": self.title,
            "kind": "face" if isinstance(self.result, Reconstruction) else "person",
            "photo": self.photo,
            "members": [one.id for one in self.members],
            "links": links,
            "result": self.result.to_dict(),
        }

    def files(self, formats: Iterable[str] = FORMATS) -> dict[str, bytes]:
        """Its files: names -> contents."""
        return head_files(self.result, formats, self.file_name, self.skin)

    def content(self, form: str) -> bytes:
        """One of its files, by suffix; an ``obj`` alone names no materials but has the model's colours, a ``pack`` is
        what the page draws (:mod:`likeness.view.pack`)."""
        if form == "obj":
            return without_materials(head_files(self.result, ["obj"], self.file_name, None)[f"{self.file_name}.obj"])
        if form == "pack":
            return pack([self._viewed()])
        if form == "zip":
            return archive(self.files((*FORMATS,)))
        return self.files([form])[f"{self.file_name}.{form}"]

    def _viewed(self) -> ViewedHead:
        result, names = self.result, self.result.model.expression_names
        if isinstance(result, Reconstruction):
            rest, posed = result.mesh(neutral=True, texture=self.skin), result.coefficients.expression
        else:
            rest, posed = result.mesh(self.skin), np.zeros(len(names))
        weights = dict(zip(names, posed.tolist(), strict=True))
        return ViewedHead.of_model(self.title, result.model, rest, directions=0, weights=weights)

    @cached_property
    def texture(self) -> bytes:
        """JPEG of the skin; empty if there is none."""
        return b"" if self.skin is None else jpeg_bytes(self.skin, TEXTURE_QUALITY)


def without_materials(obj: bytes) -> bytes:
    """An OBJ file that names no other one; its vertices have colours."""
    return b"".join(line for line in obj.splitlines(True) if not line.startswith((b"mtllib", b"usemtl")))


def archive(files: dict[str, bytes]) -> bytes:
    """A zip of files: names -> contents."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for name, data in files.items():
            target.writestr(name, data)
    return packed.getvalue()


def title_of(file_name: str | None) -> str:
    """A title of what a browser calls a file: without folders and suffix, on one line, not too long."""
    last = re.split(r"[\\/]", file_name or "")[-1]
    stem = last.rpartition(".")[0] if "." in last else last
    return printable(stem.encode(errors="replace").decode())[:LONGEST_TITLE].strip() or "photo"
