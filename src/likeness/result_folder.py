"""Folders of results, in which nothing is replaced but what the same command wrote of the same source.

Beside the results lies a hidden folder, ``.likeness``, with a small record for each: the command, the source's path
and sha256, and the sha256 of every file that was written. A file that is not on record, or has been changed since,
belongs to somebody else. Files are made aside, looked at together, put on record and only then moved to their places,
so that a run that is killed leaves files that the next one knows, and a refusal leaves everything as it was.

Two runs into one folder take turns where they look and move, by a lock on the folder (POSIX; elsewhere without).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from likeness.errors import FileError, StrPath, printable
from likeness.files import file_digest, write_atomically
from likeness.unfinished import alone_in, remove_left_over, unfinished_folder

RECORDS = ".likeness"
"""The hidden folder of the records."""

MAX_RECORD = 1 << 22
"""Bytes of a record that are read."""

ANY_CONTENT = "*"
"""On record in place of a digest: a file that a run rewrites as it goes, such as a checkpoint."""

REMEMBERED = 4
"""Digests of a file that are kept: its own, and former ones, which a killed run may have left in place."""


@dataclass(frozen=True)
class Source:
    """What results are made from.

    Args:
        path: absolute; empty for pixels that were given as an array, several separated by ``os.pathsep``.
        sha256: of the file's content, hexadecimal; empty for folders and arrays.
    """

    path: str = ""
    sha256: str = ""

    @classmethod
    def of(cls, *paths: StrPath) -> Source:
        """Of one file or folder, or of several.

        Raises:
            FileError: a file cannot be read.
        """
        alone = paths[0] if len(paths) == 1 and os.path.isfile(paths[0]) else None
        digest = "" if alone is None else file_digest(alone)
        return cls(os.pathsep.join(os.path.abspath(path) for path in paths), digest)

    def to_dict(self) -> dict[str, str]:
        """``{"path", "sha256"}``, as results carry it; what is not known is left out."""
        return {key: value for key, value in (("path", printable(self.path)), ("sha256", self.sha256)) if value}


@dataclass
class Record:
    """What is known of the files of one name.

    Args:
        command: that wrote them.
        source: the path of what they were made from.
        sha256: of the source.
        files: path in the folder -> sha256 of what was written, the last first.
        key: of all that they depend on, where that is known (:meth:`ResultFolder.note`).
        told: what there was to say of them.
    """

    command: str
    source: str
    sha256: str = ""
    files: dict[str, list[str]] = field(default_factory=dict)
    key: str = ""
    told: dict[str, Any] = field(default_factory=dict)

    def is_of(self, command: str, source: str) -> bool:
        """Whether the same command wrote it of the same source."""
        return (self.command, self.source) == (command, source)


class ResultFolder:
    """A folder that results are written to.

    Args:
        folder: is made when something is written.
        command: that writes, such as ``reconstruct``.
        overwrite: also replace files that this command did not write of this source.
    """

    def __init__(self, folder: StrPath, command: str, *, overwrite: bool = False) -> None:
        self.folder, self.command, self.overwrite = Path(folder), command, overwrite

    def owner(self, name: str) -> Record | None:
        """The record of a name; None where there is none, or none that can be read."""
        from likeness.readers import read_json  # loads NumPy, which the command line's help does without

        try:
            content: Any = read_json(self._record_path(name), "a record", largest=MAX_RECORD)
            files = {str(file): [str(one) for one in known] for file, known in content["files"].items()}
            key, told = str(content.get("key", "")), dict(content.get("told", {}))
            return Record(str(content["command"]), str(content["source"]), str(content["sha256"]), files, key, told)
        except (FileError, OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def claim(self, candidates: Sequence[str], source: Source) -> str:
        """The name of a source's results: the one that it has, else the first that nobody has; now it has that.

        Raises:
            FileError: the folder cannot be written to.
        """
        with self._locked():
            owners = {name: self.owner(name) for name in candidates}
            mine = [name for name, owner in owners.items() if owner and owner.is_of(self.command, source.path)]
            free = [name for name, owner in owners.items() if owner is None]
            name = [*mine, *free, candidates[-1]][0]
            if owners[name] is not None:
                return name
            try:
                self._store(name, Record(self.command, source.path, source.sha256))
                return name
            finally:
                self._prune(name)

    def check(self, name: str, files: Sequence[str], source: Source) -> None:
        """Say before the work, not after it, that files could not be written.

        Args:
            name: of the record.
            files: paths in the folder.
            source: of the results.

        Raises:
            FileError: one of them is somebody else's; names it.
        """
        record = self._record_of(name, source)
        for file in files:
            self._check(file, record)

    def save(self, name: str, source: Source, write: Callable[[Path], object]) -> list[Path]:
        """Write files under a record.

        Args:
            name: of the record.
            source: of the results.
            write: writes into the (empty) folder that it is given; what it leaves there is moved to this folder.

        Returns:
            The files' paths.

        Raises:
            FileError: a file of that name is somebody else's (nothing is written then), or it cannot be written.
        """
        try:
            with self._stage() as stage:
                with self._naming(stage):
                    write(stage)
                made = sorted(path for path in stage.rglob("*") if path.is_file())
                with self._locked():
                    return self._moved(name, source, stage, made)
        finally:
            self._tidy(name)

    def keep(self, name: str, files: Sequence[str], source: Source) -> None:
        """Put files on record that a run is about to write, and to rewrite as it goes.

        Raises:
            FileError: one of them is somebody else's, or the folder cannot be written to.
        """
        with self._locked():
            self.check(name, files, source)
            record = self._record_of(name, source)
            record.files |= {file: [ANY_CONTENT] for file in files}
            self._store(name, record)

    def note(self, name: str, source: Source, key: str, told: dict[str, Any]) -> None:
        """Put on record what the results of a name depend on, once they are all there: a rerun finds them by it.

        Args:
            name: of the record.
            source: of the results.
            key: of all that they depend on.
            told: what there was to say of them, as plain values.

        Raises:
            FileError: the folder cannot be written to.
        """
        with self._locked():
            record = self._record_of(name, source)
            record.key, record.told = key, told
            # What other options made, and somebody removed since, is not missed.
            record.files = {file: made for file, made in record.files.items() if os.path.lexists(self.folder / file)}
            self._store(name, record)

    def noted(self, name: str, source: Source, key: str) -> Record | None:
        """The record of results that were made of the same, if they are all there as they were written."""
        record = self.owner(name)
        if record is None or not record.is_of(self.command, source.path) or not record.files or record.key != key:
            return None
        return record if all(self._is_own(file, record) for file in record.files) else None

    def remove(self, name: str, source: Source) -> None:
        """Remove what an earlier run wrote of a source under a name; what was changed since stays."""
        with self._locked():
            record = self.owner(name)
            if record is None or not record.is_of(self.command, source.path):
                return
            for file in record.files:
                if self._is_own(file, record):
                    (self.folder / file).unlink(missing_ok=True)
            self._record_path(name).unlink(missing_ok=True)
        self._tidy(name)

    def _moved(self, name: str, source: Source, stage: Path, made: Sequence[Path]) -> list[Path]:
        record = self._record_of(name, source)
        digests = {path.relative_to(stage).as_posix(): file_digest(path) for path in made}
        for file in digests:
            self._check(file, record)
        for file, digest in digests.items():
            before = [one for one in record.files.get(file, []) if one != digest]
            record.files[file] = [digest, *before][:REMEMBERED]
        self._store(name, record)
        targets = [self.folder / file for file in digests]
        for path, target in zip(made, targets, strict=True):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
            except OSError as error:
                raise FileError(target, f"cannot be written ({error.strerror or error})") from error
        return targets

    def _record_of(self, name: str, source: Source) -> Record:
        """The record to go on with: a source's own, or a new one."""
        known = self.owner(name)
        if known is not None and known.is_of(self.command, source.path):
            return Record(known.command, known.source, source.sha256, known.files)
        return Record(self.command, source.path, source.sha256)

    def _check(self, file: str, record: Record) -> None:
        target = self.folder / file
        if target.is_dir() and not target.is_symlink():
            raise FileError(target, "is a folder; expected a file or nothing of that name")
        if self.overwrite or not os.path.lexists(target) or self._is_own(file, record):
            return
        raise FileError(
            target,
            f"was not written by likeness {self.command} of this input, or has been changed since; expected another "
            "output (-o), or --overwrite to replace it",
        )

    def _is_own(self, file: str, record: Record) -> bool:
        known = record.files.get(file, [])
        target = self.folder / file
        if not known or target.is_symlink() or not target.is_file():
            return False
        return ANY_CONTENT in known or file_digest(target) in known

    def _record_path(self, name: str) -> Path:
        return self.folder / RECORDS / f"{name}.json"

    def _records(self) -> Path:
        folder = self.folder / RECORDS
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(folder, f"cannot be made ({error.strerror}); expected a writable folder") from error
        return folder

    @contextlib.contextmanager
    def _stage(self) -> Iterator[Path]:
        """A folder for files in the making, made while nobody tidies up around it."""
        with contextlib.ExitStack() as stack:
            with self._locked():
                stage = stack.enter_context(unfinished_folder(self._records()))
            yield stage

    def _store(self, name: str, record: Record) -> None:
        path = self._record_path(name)
        self._records()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(path.parent, f"cannot be made ({error.strerror})") from error
        write_atomically(path, (json.dumps(vars(record)) + "\n").encode())

    def _tidy(self, name: str) -> None:
        """Remove the record of a name that has no files, and folders without any."""
        with contextlib.suppress(OSError, FileError), self._locked():
            record = self.owner(name)
            if record is not None and not record.files:
                self._record_path(name).unlink(missing_ok=True)
            self._prune(name)

    def _prune(self, name: str) -> None:
        """Remove the folders of a name's record and results that are empty."""
        for path in (self._record_path(name), self.folder / name):
            for folder in takewhile(lambda parent: parent != self.folder, path.parents):
                with contextlib.suppress(OSError):  # not empty
                    folder.rmdir()

    @contextlib.contextmanager
    def _naming(self, stage: Path) -> Iterator[None]:
        """An error about a file that is made aside names the place where it was to be."""
        try:
            yield
        except FileError as error:
            path = Path(error.path)
            if not path.is_relative_to(stage):
                raise
            raise FileError(self.folder / path.relative_to(stage), error.reason) from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among the processes that write here."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(self.folder, f"cannot be made ({error.strerror}); expected a writable folder") from error
        with alone_in(self.folder, wait=True):
            remove_left_over(self.folder / RECORDS, within=True)
            yield


@contextlib.contextmanager
def nothing_empty_left(folder: StrPath) -> Iterator[None]:
    """Within, something is written to a folder; if in the end no file is in it and it was not there before, it is
    gone again with all folders in it, and so are those that it lies in."""
    place = Path(folder)
    missing = [path for path in (place, *place.parents) if not os.path.lexists(path)]
    try:
        yield
    finally:
        found = [*os.walk(place, topdown=False)] if missing else []
        if not any(files for _, _, files in found):
            with contextlib.suppress(OSError):  # somebody else's
                for path in (*(Path(one) for one, _, _ in found), *missing[1:]):
                    path.rmdir()
