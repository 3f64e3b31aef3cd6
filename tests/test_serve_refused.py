"""What the server refuses, each in a plain sentence: what passes a limit, hostile uploads, other sites and names."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from serve_client import another, astronaut_jpeg, jpeg_of, serving
from starlette.testclient import TestClient

from likeness.images.encode import png_bytes
from likeness.serve import Limits
from likeness.serve.guard import Guard
from likeness.serve.limits import MIB
from likeness.serve.problems import KINDS, MEDIA_TYPE, Problem
from likeness.serve.sessions import Sessions

HOSTILE = Path(__file__).parents[2] / "shared" / "cases" / "hostile"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with serving() as client:
        yield client


def assert_problem(answer, kind: str) -> str:
    assert answer.status_code == KINDS[kind][0], answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    told = answer.json()
    assert told["type"] == f"/v1/problems/{kind}"
    assert told["status"] == answer.status_code
    assert told["detail"][0].isupper() or told["detail"][0] in "0123456789", told
    assert told["detail"].endswith(".")
    assert "\n" not in told["detail"]
    assert "/work" not in told["detail"]
    return told["detail"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "bad-request"),
        (b"hello", "not-a-photo"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "not-a-photo"),
        (b"\x89PNG\r\n\x1a\n" + 40 * b"\xff", "not-a-photo"),
        (jpeg_of(64, 64)[:200], "not-a-photo"),
        (jpeg_of(8, 8), "bad-photo"),
        (jpeg_of(200, 200), "no-face"),
    ],
)
def test_a_photo_that_cannot_be_used(client: TestClient, content: bytes, kind: str) -> None:
    assert_problem(client.post("/v1/heads", content=content), kind)


def test_a_form_without_a_photo_or_that_is_none(client: TestClient) -> None:
    photo = jpeg_of(100, 100)
    assert_problem(client.post("/v1/heads", files={"picture": ("a.jpg", photo)}), "bad-request")
    assert_problem(client.post("/v1/heads", data={"photo": "a.jpg"}), "not-a-photo")
    two = [("photo", ("a.jpg", photo)), ("photo", ("b.jpg", photo))]
    assert_problem(client.post("/v1/heads", files=two), "bad-request")
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert_problem(client.post("/v1/heads", content=b"--y\r\nnothing", headers=broken), "bad-request")
    nameless = {"content-type": "multipart/form-data"}
    assert_problem(client.post("/v1/heads", content=b"--y", headers=nameless), "bad-request")


def test_bytes_and_pixels_have_limits() -> None:
    with serving(photo_bytes=MIB // 4, pixels=90_000) as client:
        large = jpeg_of(100, 100) + bytes(MIB // 4)
        assert "0.2 MiB" in assert_problem(client.post("/v1/heads", content=large), "too-large")
        lying = client.post("/v1/heads", content=iter([bytes(MIB // 4), bytes(MIB // 4)]))
        assert_problem(lying, "too-large")
        assert_problem(client.post("/v1/heads", files={"photo": ("a.jpg", large)}), "too-large")
        detail = assert_problem(client.post("/v1/heads", content=jpeg_of(300, 301)), "too-many-pixels")
        assert "301 x 300" in detail
        bomb = png_bytes(np.zeros((2000, 2000, 3), np.uint8))
        assert_problem(client.post("/v1/heads", content=bomb), "too-many-pixels")
        much = b'{"count": 1' + b" " * (2 * MIB) + b"}"
        assert_problem(client.post("/v1/identities/random", content=much), "too-large")


def test_faces_have_a_limit() -> None:
    picture = np.concatenate([pytest.importorskip("skimage.data").astronaut()] * 2, axis=1)
    with serving(faces=1) as client:
        answer = client.post("/v1/heads?texture=0", content=png_bytes(picture))
        assert len(answer.json()["heads"]) == 1
        assert_problem(client.post("/v1/heads?faces=0", content=b"x"), "bad-value")
        assert_problem(client.post("/v1/heads?texture=700", content=b"x"), "bad-value")


def test_work_has_a_limit_and_the_next_photo_is_done_all_the_same() -> None:
    with serving(work_seconds=0.05) as client:
        assert_problem(client.post("/v1/heads", content=astronaut_jpeg()), "too-long")
        studio = client.app.state.studio
        object.__setattr__(studio.limits, "work_seconds", 120.0)
        assert client.post("/v1/heads?texture=0", content=astronaut_jpeg()).status_code == 200


def test_a_process_that_dies_is_told_and_replaced() -> None:
    with serving() as client:
        pool = client.app.state.studio.pool
        pool.warm_up()
        os.kill(pool._all[0].process.pid, 9)
        assert_problem(client.post("/v1/heads", content=astronaut_jpeg()), "worker-ended")
        assert client.post("/v1/heads?texture=0", content=astronaut_jpeg()).status_code == 200


def test_what_waits_sessions_and_what_they_keep_have_limits() -> None:
    with serving(sessions=1, session_heads=1, queue=1) as client:
        client.post("/v1/sessions")
        assert_problem(another(client).post("/v1/sessions"), "busy")
        assert client.post("/v1/heads?texture=0", content=astronaut_jpeg()).status_code == 200
        assert_problem(client.post("/v1/heads?texture=0", content=astronaut_jpeg()), "session-full")
        client.app.state.studio.pool._waiting = 1
        answer = another(client).post("/v1/heads", content=astronaut_jpeg())
        assert_problem(answer, "busy")
        assert answer.headers["retry-after"]
    with serving(memory_bytes=1000) as client:
        client.post("/v1/sessions")
        assert_problem(client.post("/v1/heads", content=astronaut_jpeg()), "memory-full")


def test_sessions_end_when_nobody_uses_them() -> None:
    now = [0.0]
    sessions = Sessions(Limits(session_seconds=10), lambda: now[0])
    first, second = sessions.start(), sessions.start()
    now[0] = 8.0
    assert sessions.of(first.token) is first
    now[0] = 12.0
    assert sessions.of(second.token) is None
    assert second.dropped
    assert sessions.of(first.token) is first
    assert len(sessions) == 1


def test_a_request_that_does_not_arrive_is_ended() -> None:
    async def app(scope, receive, send) -> None:
        await receive()

    async def never() -> dict:
        await asyncio.sleep(60)
        return {}

    async def nowhere(message: dict) -> None: ...

    guard = Guard(app, Limits(upload_seconds=0.05))
    scope = {"type": "http", "method": "POST", "path": "/v1/heads", "headers": [(b"host", b"localhost")]}
    with pytest.raises(Problem, match="did not arrive within"):
        asyncio.run(guard(scope, never, nowhere))


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost.evil"])
def test_other_names_are_refused(client: TestClient, host: str) -> None:
    assert_problem(client.get("/v1", headers={"Host": host}), "wrong-host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "[::1]:8080", "192.168.0.7"])
def test_own_names_are_taken(client: TestClient, host: str) -> None:
    assert client.get("/v1", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    assert_problem(client.post("/v1/sessions", headers=headers), "wrong-origin")


def test_pages_of_ours_and_links_from_elsewhere_are_taken(client: TestClient) -> None:
    own = {"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}
    assert another(client).post("/v1/sessions", headers=own).status_code == 201
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=link).status_code == 200


def test_every_answer_says_what_a_browser_may_do(client: TestClient) -> None:
    for address in ("/", "/v1", "/nowhere", "/app.js"):
        headers = client.get(address).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "script-src 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff"
    page = client.get("/").text
    assert "<script>" not in page
    assert "style=" not in page
    assert client.get("/app.js", headers={"If-None-Match": client.get("/app.js").headers["etag"]}).status_code == 304


@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/%2e%2e/%2e%2e/etc/passwd", "/app.js/../../app.py", "//etc/passwd", "/page/index.html"]
    + ["/v1/heads/..%2f..%2fetc%2fpasswd", "/v1/heads/%2e%2e/passwd", "/v1/problems/..%2f..%2fapp.py", "/.git/HEAD"],
)
def test_no_path_leads_to_the_disk(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (401, 404), answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE


def test_values_that_make_no_sense(client: TestClient) -> None:
    client.post("/v1/sessions")
    for address, body in {
        "random": {"count": 1000},
        "walk": {"start": {}, "end": {}, "shares": [float("1e9")]},
        "caricature": {"of": {"identity": [1.0, 2.0]}},
        "adjust": {"of": {}, "strengths": {"5000": 1}},
        "mesh": {"of": {}, "expression": {"wink": 1}},
    }.items():
        assert_problem(client.post(f"/v1/identities/{address}", json=body), "bad-value")
    both = {"of": {"identity": [1.0], "head": "head-1"}}
    assert_problem(client.post("/v1/identities/mesh", json=both), "bad-value")
    long = {"of": {}, "strengths": {str(i): 4.0 for i in range(100)}}
    assert_problem(client.post("/v1/identities/adjust", json=long), "bad-value")
    assert_problem(client.post("/v1/identities/walk", content=b"{"), "bad-value")
    assert_problem(client.put("/v1/heads"), "wrong-method")
    assert_problem(client.post("/v1/people"), "wrong-state")
    assert_problem(client.get("/v1/archive.zip"), "wrong-state")
    assert_problem(client.get("/v1/session", headers={"Authorization": "Bearer x"}), "no-session")


@pytest.mark.skipif(not HOSTILE.is_dir(), reason="no collection of hostile files beside the repository")
def test_hostile_files_are_used_or_refused(client: TestClient) -> None:
    files = sorted(path for path in HOSTILE.iterdir() if path.is_file() and path.stat().st_size < MIB)
    assert files
    for path in files[:: max(len(files) // 12, 1)]:
        answer = client.post("/v1/heads?texture=0", content=path.read_bytes())
        assert answer.status_code in (200, 400, 413, 415, 422), (path.name, answer.text)


def test_uploads_never_lie_on_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened = []
    rolled = tempfile.SpooledTemporaryFile.rollover
    monkeypatch.setattr(
        tempfile.SpooledTemporaryFile, "rollover", lambda self: (opened.append(self), rolled(self))[1]
    )
    with serving() as client:
        client.post("/v1/sessions")
        form = {"photo": ("a.jpg", astronaut_jpeg() + bytes(3 * MIB))}
        assert client.post("/v1/heads?texture=0", files=form).status_code == 200
        head = client.get("/v1/heads").json()["heads"][0]
        client.get(head["links"]["zip"])
        assert_problem(client.post(f"/v1/heads/{head['id']}/keep"), "wrong-state")
    assert not opened
    assert not list(tmp_path.rglob("*"))


def test_what_users_ask_to_keep_is_kept_under_a_name_of_the_servers(tmp_path: Path) -> None:
    with serving(keep=tmp_path / "kept") as client:
        (tmp_path / "kept").mkdir()
        client.post("/v1/sessions")
        form = {"photo": ("../../evil.jpg", astronaut_jpeg())}
        head = client.post("/v1/heads?texture=0", files=form).json()["heads"][0]
        name = client.post(f"/v1/heads/{head['id']}/keep").json()["name"]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        f"{name}.{s}" for s in ("glb", "json", "mtl", "obj")
    ]
    assert name.startswith("head-")


def test_requests_under_way_have_a_limit() -> None:
    released = asyncio.Event()

    async def app(scope, receive, send) -> None:
        await released.wait()

    async def ask(guard: Guard) -> list[int]:
        told: list[int] = []

        async def send(message: dict) -> None:
            told.append(message.get("status", 0))

        scope = {"type": "http", "method": "GET", "path": "/v1", "headers": [(b"host", b"localhost")]}
        await guard(scope, None, send)  # type: ignore[arg-type]
        return told

    async def three() -> list[list[int]]:
        guard = Guard(app, Limits(connections=2))
        first = [asyncio.ensure_future(ask(guard)) for _ in range(2)]
        await asyncio.sleep(0)
        refused = await ask(guard)
        released.set()
        return [refused, *await asyncio.gather(*first), await ask(guard)]

    assert asyncio.run(three()) == [[503, 0], [], [], []]
