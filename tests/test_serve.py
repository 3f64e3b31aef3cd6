"""The REST API: a photo in, heads out; sessions apart from each other; walks, people, files."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from serve_client import another, astronaut_jpeg, serving
from starlette.testclient import TestClient
from test_view import unpacked, vectors
from whole_heads import default_model

from likeness import Mesh
from likeness.mesh.glb_reader import read_glb
from likeness.serve.heads import title_of
from likeness.serve.problems import KINDS, MEDIA_TYPE


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with serving() as client:
        assert client.post("/v1/sessions").status_code == 201
        yield client


@pytest.fixture(scope="module")
def head(client: TestClient) -> dict:
    """A head in the session, made as the page has it made."""
    form = {"photo": ("..\\../etc/passwd\r\nX: y.jpg", astronaut_jpeg())}
    job = client.post("/v1/heads?texture=512", files=form, headers={"Prefer": "respond-async"})
    assert job.status_code == 202, job.text
    told = client.get(job.json()["links"]["events"])
    assert told.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[5:]) for line in told.text.splitlines() if line.startswith("data:")]
    shares = [event["share"] for event in events]
    assert shares == sorted(shares)
    assert events[-1]["state"] == "done", events[-1]
    return events[-1]["heads"][0]


def loaded(data: bytes, suffix: str, folder: Path) -> Mesh:
    path = folder / f"head.{suffix}"
    path.write_bytes(data)
    return Mesh.load(path)


def unpacked_texture(data: bytes) -> list[np.ndarray]:
    """The textures of a pack's heads."""
    header, body = unpacked(data)
    images = [head["texture"]["image"] for head in header["heads"] if head["texture"]]
    found = [np.frombuffer(body, np.uint8, image["bytes"], image["offset"]) for image in images]
    return [cv2.imdecode(image, cv2.IMREAD_COLOR) for image in found]


def test_a_photo_becomes_a_head_in_the_form_that_is_asked_for(client: TestClient, head: dict, tmp_path: Path) -> None:
    fresh = another(client)  # no session: nothing stays
    answer = fresh.post(
        "/v1/heads?texture=0", content=astronaut_jpeg(), headers={"Accept": "model/gltf-binary", "Origin": "null"}
    )
    assert answer.status_code == 403  # a sandboxed frame is no page of ours
    answer = fresh.post("/v1/heads?texture=0", content=astronaut_jpeg(), headers={"Accept": "model/gltf-binary"})
    assert answer.headers["content-type"] == "model/gltf-binary"
    alone = loaded(answer.content, "glb", tmp_path)
    kept = client.get(head["links"]["glb"])
    with_skin = loaded(kept.content, "glb", tmp_path)
    np.testing.assert_allclose(alone.vertices, with_skin.vertices, atol=1e-3)
    assert len(with_skin.vertices) > len(default_model().mean)  # whole
    (shown,) = unpacked_texture(client.get(head["links"]["pack"]).content)
    assert shown.shape == (512, 512, 3)
    assert fresh.get("/v1/heads").status_code == 401
    assert "set-cookie" not in answer.headers


def test_every_file_of_a_head_can_be_read(client: TestClient, head: dict, tmp_path: Path) -> None:
    links = head["links"]
    vertices = loaded(client.get(links["glb"]).content, "glb", tmp_path).vertices
    posed = loaded(client.get(links["obj"]).content, "obj", tmp_path)
    assert posed.vertices.shape == vertices.shape
    assert client.get(links["json"]).json()["identity"] == head["result"]["identity"]
    for name in ("portrait", "photo", "texture"):
        assert client.get(links[name]).content.startswith(b"\xff\xd8"), name
    for address in (links["zip"], "/v1/archive.zip"):
        packed = zipfile.ZipFile(io.BytesIO(client.get(address).content))
        assert {Path(name).suffix for name in packed.namelist()} >= {".glb", ".obj", ".mtl", ".json"}
        assert all("/" not in name and ".." not in name and "\\" not in name for name in packed.namelist())
    by_accept = client.get(f"/v1/heads/{head['id']}", headers={"Accept": "image/png;q=1, model/obj;q=0.5, */*;q=0.1"})
    assert by_accept.headers["content-type"] == "model/obj"
    assert client.get(f"/v1/heads/{head['id']}", headers={"Accept": "image/png"}).status_code == 406
    assert head["title"].startswith("passwd")


def test_titles_are_one_line_and_name_no_folder() -> None:
    assert title_of("C:\\me\\a\r\nX: b.jpg") == "a\\r\\nX: b"
    assert title_of("../../.jpg") == title_of("") == title_of(None) == "photo"
    assert len(title_of(500 * "x")) == 80


def test_sessions_do_not_see_each_other(client: TestClient, head: dict) -> None:
    other = another(client)
    token = other.post("/v1/sessions").json()["token"]
    assert token not in (client.cookies.get("likeness_session"), "")
    assert other.get("/v1/heads").json() == {"heads": []}
    for address in (*head["links"].values(), "/v1/jobs/job-1", "/v1/jobs/job-1/events"):
        assert other.get(address).status_code == 404, address
    assert other.delete(f"/v1/heads/{head['id']}").status_code == 404
    body = {"of": {"head": head["id"]}}
    assert other.post("/v1/identities/caricature", json=body).status_code == 404
    assert client.get(f"/v1/heads/{head['id']}").status_code == 200
    bearer = another(client).get("/v1/session", headers={"Authorization": f"Bearer {token}"})
    assert bearer.json()["heads"] == 0
    assert other.delete("/v1/session").status_code == 204
    assert another(client).get("/v1/session", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_the_cookie_is_for_this_site_and_no_script(client: TestClient) -> None:
    cookie = another(client).post("/v1/sessions").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_people_and_how_alike_they_are(client: TestClient, head: dict) -> None:
    twin = client.post("/v1/heads?texture=0", content=astronaut_jpeg()).json()["heads"][0]
    answer = client.post("/v1/people")
    assert answer.status_code == 200, answer.text
    person = answer.json()["heads"][0]
    assert person["members"] == [head["id"], twin["id"]]
    found = client.get("/v1/comparison").json()
    order = {id: i for i, id in enumerate(found["heads"])}
    a, b, p = order[head["id"]], order[twin["id"]], order[person["id"]]
    assert found["chance"][a][b] > 0.99
    assert found["chance"][a][p] == 1.0
    assert found["millimetres"][a][b] < 0.01
    assert found["cosine"][a][a] == pytest.approx(1.0)
    client.delete(f"/v1/heads/{twin['id']}")
    assert client.get(person["links"]["photo"]).status_code == 200  # its photo stays for the person


def test_walks_start_and_end_at_the_people(client: TestClient, head: dict) -> None:
    random = client.post("/v1/identities/random", json={"count": 2, "seed": 7}).json()
    assert random == client.post("/v1/identities/random", json={"count": 2, "seed": 7}).json()
    code = random["identities"][0]
    body = {"start": {"head": head["id"]}, "end": {"identity": code}, "shares": [0, 0.5, 1]}
    way = client.post("/v1/identities/walk", json=body).json()
    np.testing.assert_allclose(way["identities"][2], code, atol=0.02)
    assert way["from_average_mm"][0] == pytest.approx(
        client.post("/v1/identities/caricature", json={"of": {"head": head["id"]}, "strengths": [1]}).json()[
            "from_average_mm"
        ][0],
        abs=1e-3,
    )
    body = {"of": {"head": head["id"]}, "strengths": [0, 1, 1.4]}
    apart = client.post("/v1/identities/caricature", json=body).json()["from_average_mm"]
    assert apart[0] < 0.2 < apart[1] < apart[2]
    body = {"of": {"head": head["id"]}, "strengths": {"0": 2.0, "3": -1.0}}
    strengths = client.post("/v1/identities/adjust", json=body).json()["strengths"][0]
    assert (strengths[0], strengths[3]) == (pytest.approx(2.0, abs=1e-3), pytest.approx(-1.0, abs=1e-3))


def test_the_basis_gives_the_heads_that_the_server_gives(client: TestClient) -> None:
    model = client.get("/v1/model").json()
    values = np.frombuffer(client.get("/v1/model/basis").content, "<f4").reshape(-1, model["vertices"], 3)
    code = client.post("/v1/identities/random", json={"seed": 3}).json()["identities"][0]
    body = {"of": {"identity": code}, "expression": {"jawOpen": 0.5}}
    as_glb = client.post("/v1/identities/mesh", json=body)
    assert as_glb.headers["content-type"] == "model/gltf-binary"
    path = io.BytesIO(as_glb.content)
    assert path.read(4) == b"glTF"
    told = client.post("/v1/identities/mesh", json={"of": body["of"]}, headers={"Accept": "application/json"}).json()
    expected = values[0] + np.tensordot(np.array(code), values[1:].astype(np.float64), 1)
    np.testing.assert_allclose(np.array(told["vertices"]), expected, atol=2e-3)


def test_the_whole_heads_basis_gives_the_heads_that_are_packed_but_for_closed_lips(
    client: TestClient, head: dict
) -> None:
    directions = client.get("/v1/model").json()["directions"]
    values = np.frombuffer(client.get("/v1/model/whole").content, "<f4").reshape(directions + 1, -1, 3)
    header, body = unpacked(client.get(head["links"]["pack"]).content)
    shown = vectors(body, header["heads"][0]["positions"], 1)[0]
    expected = values[0] + np.tensordot(np.array(head["result"]["identity"]), values[1:].astype(np.float64), 1)
    apart = np.linalg.norm(shown - expected, axis=1)
    assert apart.max() < 2.0
    assert np.median(apart) < 0.05


def test_the_description_names_every_address_and_how_problems_look(client: TestClient) -> None:
    described = client.get("/v1/openapi.json").json()
    assert set(described["paths"]) >= {"/v1/heads", "/v1/heads/{id}", "/v1/people", "/v1/comparison", "/v1/sessions"}
    post = described["paths"]["/v1/heads"]["post"]
    assert "multipart/form-data" in post["requestBody"]["content"]
    assert MEDIA_TYPE in post["responses"]["default"]["content"]
    for kind, (status, _) in KINDS.items():
        assert client.get(f"/v1/problems/{kind}").json()["status"] == status


def test_nothing_is_left_when_a_head_or_a_session_is_dropped() -> None:
    with serving() as client:
        client.post("/v1/sessions")
        head = client.post("/v1/heads?texture=0", content=astronaut_jpeg()).json()["heads"][0]
        studio = client.app.state.studio
        (session,) = studio.sessions
        assert session.size > len(astronaut_jpeg())
        assert client.delete(f"/v1/heads/{head['id']}").status_code == 204
        assert session.size == 0
        assert client.get(head["links"]["glb"]).status_code == 404


def test_glb_files_carry_the_expressions(client: TestClient, head: dict, tmp_path: Path) -> None:
    path = tmp_path / "head.glb"
    path.write_bytes(client.get(head["links"]["glb"]).content)
    assert read_glb(path) is not None
    assert b"jawOpen" in path.read_bytes()


def test_a_head_that_is_dropped_while_people_are_sorted_leaves_its_photo_to_the_person() -> None:
    with serving() as client:
        client.post("/v1/sessions")
        head = client.post("/v1/heads?texture=0", content=astronaut_jpeg()).json()["heads"][0]
        job = client.post("/v1/people", headers={"Prefer": "respond-async"}).json()
        assert client.delete(f"/v1/heads/{head['id']}").status_code == 204
        assert '"state": "done"' in client.get(job["links"]["events"]).text
        (person,) = client.get("/v1/heads").json()["heads"]
        assert client.get(person["links"]["photo"]).status_code == 200
