"""What commands give to programs: one document of one schema, exit codes, completion, colours for terminals only."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from likeness import FaceModel, cli
from likeness.cli.main import Likeness, main, words_of
from likeness.cli.output import SCHEMA
from likeness.cli.photos import Outcome, Work
from likeness.result_folder import ResultFolder, Source

FIELDS = {
    "schema": int,
    "likeness": str,
    "command": str,
    "exit_code": int,
    "results": list,
    "files": list,
    "figures": dict,
    "error": str | None,
}
RESULT_FIELDS = {"inputs": list, "error": str | None, "notes": list, "files": list, "figures": dict}


def run(*arguments: object) -> int:
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def told(text: str) -> dict[str, Any]:
    """The document, which is all of standard output, as its schema says."""
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert document["schema"] == SCHEMA
    for fields, value in ((FIELDS, document), *((RESULT_FIELDS, one) for one in document["results"])):
        assert set(value) == set(fields)
        assert all(isinstance(value[name], kind) for name, kind in fields.items())
    for one in (document, *document["results"]):
        assert all(Path(file).exists() for file in one["files"])
    return document


Asked = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Asked:
    """Runs a command with --json: the exit code, the document and standard error."""

    def ask(*arguments: object) -> tuple[int, dict[str, Any], str]:
        code = run(*arguments, "--json")
        printed = capsys.readouterr()
        document = told(printed.out)
        assert document["exit_code"] == code
        return code, document, printed.err

    return ask


def test_models_info_and_convert(asked: Asked, small_model: FaceModel, tmp_path: Path) -> None:
    small_model.save(tmp_path / "small.npz")
    code, document, lines = asked("models", "info", tmp_path / "small.npz")
    assert (code, document["command"]) == (0, "models info")
    figures = document["results"][0]["figures"]
    assert figures["vertices"] == len(small_model.mean)
    assert figures["expression_names"] == list(small_model.expression_names)
    assert "vertices" in lines  # for people
    code, document, _ = asked("models", "convert", tmp_path / "small.npz", tmp_path / "again.npz")
    assert document["results"][0]["files"] == [str(tmp_path / "again.npz")]
    code, document, lines = asked("models", "info", tmp_path / "missing.npz")
    assert code == 2
    assert lines == f"likeness: {document['error']}\n"


def test_photos(asked: Asked, tmp_path: Path) -> None:
    import cv2

    photo, text, out = tmp_path / "me.jpg", tmp_path / "text.jpg", tmp_path / "out"
    cv2.imwrite(str(photo), pytest.importorskip("skimage.data").astronaut()[:300, 100:400, ::-1])
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((64, 64, 3), 90, np.uint8))
    text.write_text("I am no photo")
    given = [photo, text, tmp_path / "flat.png"]
    code, document, lines = asked("reconstruct", *given, "-o", out, "--formats", "json", "--texture", "none")
    assert (code, document["command"], document["error"]) == (2, "reconstruct", None)
    assert document["figures"] == {"photos": 3, "faces": 1, "without": 1, "failed": 1, "made_before": 0}
    found, refused, empty = document["results"]
    assert [one["inputs"] for one in document["results"]] == [[str(path)] for path in given]
    assert found["files"] == [str(out / "me.json")]
    (head,) = found["figures"]["heads"]
    saved = json.loads((out / "me.json").read_bytes())
    np.testing.assert_allclose([head["score"], *head["box"]], [saved["score"], *saved["box"]], atol=0.1)
    assert refused["error"] in lines
    assert "no face found" in empty["error"]


def test_points(asked: Asked, tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(0, 1, (68, 2))
    points = np.stack([np.cos(np.arange(68)), np.sin(np.arange(68))], 1) * 100 + points + 200
    (tmp_path / "a.json").write_text(json.dumps({"landmarks": points.tolist(), "photo_size": [400, 400]}))
    (tmp_path / "b.json").write_text("{}")
    out = tmp_path / "out"
    code, document, lines = asked("fit", tmp_path / "b.json", tmp_path / "a.json", "-o", out, "--formats", "json")
    assert (code, document["command"]) == (2, "fit")
    refused, found = document["results"]
    assert f"likeness: {refused['error']}" in lines.splitlines()
    assert found["figures"]["rms_px"] > 0
    assert found["files"] == [str(out / "a.json")]


def test_an_evaluation(asked: Asked, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([f"p{number}" for number in range(6)], 4)
    codes = rng.normal(size=(6, 8))[np.repeat(np.arange(6), 4)] + 0.3 * rng.normal(size=(24, 8))
    np.savez(tmp_path / "codes.npz", codes=codes, labels=labels)
    arguments = ("evaluate", "recognisability", tmp_path / "codes.npz", "-o", tmp_path / "out", "--bootstrap", 0)
    code, document, lines = asked(*arguments)
    assert (code, document["command"]) == (0, "evaluate recognisability")
    (found,) = document["results"]
    assert found["figures"] == json.loads((tmp_path / "out" / "results.json").read_bytes())
    assert str(tmp_path / "out" / "report.html") in found["files"]
    assert "AUC" in lines


class Stopped:
    """Does the first of what it is called for, then somebody stops it."""

    def __init__(self, first: Callable[..., Any]) -> None:
        self.first, self.calls = first, 0

    def __call__(self, *given: Any, **more: Any) -> Any:
        self.calls += 1
        if self.calls > 1:
            raise KeyboardInterrupt
        return self.first(*given, **more)


class Registered:
    """A registration's result, as far as the command asks for it."""

    def __init__(self, scan: Path) -> None:
        self.source, self.units = Source.of(scan), "mm"
        self.quality = type("Quality", (), {"scan_to_mesh_median": 0.1, "scan_to_mesh_p95": np.inf, "seconds": 1.0})

    def save(self, folder: Path, formats: Any, name: str, *, overwrite: bool) -> dict[str, Path]:
        results = ResultFolder(folder, "register", overwrite=overwrite)
        results.save(name, self.source, lambda stage: (stage / f"{name}.obj").write_text("v 0 0 0\n"))
        return {"obj": Path(folder) / f"{name}.obj"}


def test_scans_and_who_stops_them(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scans = [tmp_path / f"{name}.obj" for name in "abc"]
    for scan in scans:
        scan.write_text("v 0 0 0\n")
    monkeypatch.setattr("likeness.register.register_scan", Stopped(lambda scan, *_, **__: Registered(scan)))
    points = ["--landmarks", *[tmp_path / "points.txt"] * 3]
    code, document, lines = asked("register", *scans, "-o", tmp_path / "out", *points)
    assert code == 130
    assert lines.splitlines()[-1] == f"likeness: {document['error']}" == "likeness: stopped; what was written stays"
    (first,) = document["results"]
    assert first["files"] == [str(tmp_path / "out" / "a.obj")]
    assert (first["figures"]["median_mm"], first["figures"]["p95_mm"]) == (0.1, None)


def test_videos_and_who_stops_them(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from likeness.cli import video

    def done(output: video.Output, reconstructor: Any, keys: Any, path: Path, *_: Any) -> tuple[int, bool]:
        output.out.joinpath("a.csv").write_text("1\n")
        video.add_result(path, files=[output.out / "a.csv"])
        return 1, True

    monkeypatch.setattr("likeness.cli.reconstruct._reconstructor", lambda settings, **_: None)
    monkeypatch.setattr(video, "_is_video", lambda path: True)
    monkeypatch.setattr(video, "Keys", lambda *_, **__: None)
    monkeypatch.setattr(video, "_one", Stopped(done))
    clips = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for clip in clips:
        clip.write_bytes(b"clip")
    code, document, _ = asked("reconstruct", *clips, "-o", tmp_path / "out")
    assert code == 130
    assert [one["inputs"] for one in document["results"]] == [[str(clips[0])]]
    assert (tmp_path / "out" / "a.csv").exists()


def test_a_training_and_who_stops_it(
    asked: Asked, small_model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likeness.train.generate import rendered

    small_model.save(tmp_path / "small.npz")
    command = ("train", "synthetic", "--model", tmp_path / "small.npz", "-o", tmp_path / "set", "--count", 2)
    code, document, _ = asked(*command)
    assert (code, document["command"]) == (0, "train synthetic")
    files = sorted(Path(file) for file in document["results"][0]["files"])
    made = {path: path.read_bytes() for path in files}

    def stopped(*_: Any) -> Any:
        yield 1
        raise KeyboardInterrupt

    monkeypatch.setattr(rendered, "write_set", stopped)
    code, document, _ = asked(*command, "--seed", 1)
    assert code == 130
    assert document["results"] == []
    assert {path: path.read_bytes() for path in (tmp_path / "set").iterdir() if path.is_file()} == made


def test_quiet_keeps_back_all_but_what_goes_wrong(
    small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_model.save(tmp_path / "small.npz")
    assert run("models", "info", tmp_path / "small.npz", "-q") == 0
    assert capsys.readouterr() == ("", "")
    assert run("models", "-q", "info", tmp_path / "missing.npz") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("likeness: ")
    assert run("--quiet", "models", "info", tmp_path / "small.npz", "--json") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert len(told(printed.out)["results"]) == 1


def test_arguments_that_are_not_understood(asked: Asked) -> None:
    code, document, lines = asked("models", "inof", "x.npz")
    assert (code, document["command"], document["results"]) == (2, "models", [])
    assert "inof" in lines
    assert document["error"]


@pytest.mark.parametrize("words", [["--version"], ["-V"], ["--json", "--version"], ["--version", "models"]])
def test_the_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from likeness import __version__

    assert run(*words) == 0
    assert capsys.readouterr().out == f"likeness {__version__}\n"


def commands() -> dict[str, type]:
    """Every command's words and what they are parsed to."""

    def named(kind: Any) -> dict[str, type]:
        return {get_args(one)[1].name: get_args(one)[0] for one in get_args(kind)}

    found = {}
    for name, kind in named(get_type_hints(Likeness, include_extras=True)["command"]).items():
        action = get_type_hints(kind, include_extras=True).get("action")
        inner = {} if action is None else named(get_args(action)[0])
        found |= {f"{name} {word}": one for word, one in inner.items()} or {name: kind}
    return found


def test_every_command_has_the_options_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    every = commands()
    assert {"reconstruct", "models transfer", "train label-points", "evaluate fidelity"} <= set(every)
    for words in every:
        assert run(*words.split(), "--help") == 0
        listed = capsys.readouterr().out
        assert "--json" in listed, words
        assert "-q, --quiet" in listed, words


def test_help_breaks_no_line_in_mid_sentence() -> None:
    """What an option does is one paragraph, wherever its lines end in the source."""
    told = subprocess.run(
        [sys.executable, "-m", "likeness", "reconstruct", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "1000"},
    ).stdout
    assert "or - for stdin; videos (MP4" in told
    assert "Parquet: tables with a row for each face (extra `parquet`); a run" in told


def test_documents_name_commands_as_one_types_them() -> None:
    class Group:
        def __init__(self, name: str, action: type) -> None:
            self.__class__ = type(name.capitalize(), (), {})  # type: ignore[assignment]
            self.action = object.__new__(action)

    for words, kind in commands().items():
        first, *rest = words.split()
        command = Group(first, kind) if rest else object.__new__(kind)
        assert words_of(command) == words


def test_help_loads_nothing_that_it_does_not_need() -> None:
    slow = "{'numpy', 'cv2', 'onnxruntime', 'torch', 'scipy', 'rich.console'}"
    code = (
        "import sys\nfrom likeness.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"sys.stderr.write(' '.join(sorted({slow} & set(sys.modules))))"
    )
    for words in (["--help"], ["reconstruct", "--help"], ["models", "transfer", "--help"], ["--version"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        assert done.stdout
        assert done.stderr == "", words


def completed(words: list[str], folder: Path) -> set[str]:
    """What bash offers for the last word."""
    script = subprocess.run(
        [sys.executable, "-m", "likeness", "completion", "bash"], capture_output=True, text=True, check=True
    ).stdout
    (folder / "completion").write_text(script)
    line = " ".join(words)
    asks = (
        f"PATH={Path(sys.executable).parent}:$PATH\nsource ./completion\nCOMP_WORDS=({line.rstrip()}"
        f"{' ' + repr('') if line.endswith(' ') else ''})\nCOMP_CWORD={len(words) - 1}\n"
        f'COMP_LINE="{line}"\nCOMP_POINT={len(line)}\n'
        "$(complete -p likeness | sed 's/.*-F \\([^ ]*\\).*/\\1/') likeness\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", asks], cwd=folder, capture_output=True, text=True, check=True)
    return {word.strip() for word in done.stdout.splitlines()}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    assert "reconstruct" in completed(["likeness", "rec"], tmp_path)
    assert {"--texture", "--threads"} <= completed(["likeness", "reconstruct", "--t"], tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_every_shell(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("completion", shell) == 0
    script = capsys.readouterr().out
    assert "\x1b" not in script
    for words in commands():
        assert re.search(rf"\b{words.split()[-1]}\b", script), words
    if shutil.which(shell) is not None:
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def on_a_terminal(words: list[str], **environment: str) -> bytes:
    """What a command prints to a terminal."""
    import pty

    ours, theirs = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "likeness", *words],
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
        env=plain | {"TERM": "xterm-256color"} | environment,
    )
    os.close(theirs)
    printed = b""
    try:
        while block := os.read(ours, 4096):
            printed += block
    except OSError:  # the other end is closed
        pass
    process.wait()
    os.close(ours)
    return printed


@pytest.mark.skipif(os.name != "posix", reason="no pseudo-terminals")
def test_colours_are_for_terminals_whose_owner_likes_them() -> None:
    colours = re.compile(rb"\x1b\[[0-9;]*[34]\dm")
    assert b"\x1b[" in on_a_terminal(["--help"])
    assert not colours.search(on_a_terminal(["--help"], NO_COLOR="1"))
    piped = subprocess.run([sys.executable, "-m", "likeness", "--help"], capture_output=True, check=True)
    assert b"\x1b" not in piped.stdout


@pytest.mark.parametrize("photos", [1, 2])
def test_threads_are_shared_out_only_among_processes_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: int
) -> None:
    asked: list[int | None] = []
    monkeypatch.setattr(
        "likeness.reconstruct.reconstructor.Reconstructor", lambda *, threads, **_: asked.append(threads)
    )
    monkeypatch.setattr(Work, "__call__", lambda _, photo: Outcome(str(photo), 1))
    monkeypatch.setattr("likeness.cli.workers.Shared", lambda make, photos, *_: map(make(), photos))
    given = [tmp_path / f"{number}.jpg" for number in range(photos)]
    for path in given:
        path.write_bytes(b"photo")
    main(["reconstruct", *map(str, given), "-o", str(tmp_path / "out"), "--jobs", "8"])
    assert asked == [None if photos == 1 else 1]
