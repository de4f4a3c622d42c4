"""Pictures are served by the site, also with DEBUG off; other files are not."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPMessage
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from cards.packs.illustrations import _IMAGE_SUFFIXES
from kyndo.localservices.ports import find_free_port
from kyndo.media import CONTENT_TYPES
from tests.conftest import ROOT

CONTENT = b"<script>alert(1)</script>"


@pytest.fixture
def folder(tmp_path: Path, settings: "Settings") -> Path:
    settings.MEDIA_ROOT = str(tmp_path / "media")
    (tmp_path / "media" / "packs").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(CONTENT)
    for name in ("condor.webp", "condor.PNG", "page.html", "drawing.svg", ".half.webp", "noending"):
        (tmp_path / "media" / "packs" / name).write_bytes(CONTENT)
    return tmp_path / "media"


@pytest.mark.parametrize(("name", "kind"), [("condor.webp", "image/webp"), ("condor.PNG", "image/png")])
def test_a_picture_is_served_with_a_fixed_type_and_a_strict_policy(
    client: Client, folder: Path, name: str, kind: str
) -> None:
    response = client.get(f"/media/packs/{name}")
    assert (response.status_code, b"".join(response)) == (200, CONTENT)
    assert response["Content-Type"] == kind
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert client.post(f"/media/packs/{name}").status_code == 405


@pytest.mark.parametrize(
    "name",
    [
        "packs/page.html",
        "packs/drawing.svg",
        "packs/.half.webp",
        "packs/noending",
        "packs/gone.webp",
        "packs",
        "packs/condor.webp/x.webp",
        "../secret.png",
        "%2e%2e/secret.png",
        "packs/%00.webp",
        f"{'x' * 300}.webp",
    ],
)
def test_other_files_and_paths_outside_the_folder_are_not_found(
    client: Client, folder: Path, name: str
) -> None:
    assert client.get(f"/media/{name}").status_code == 404


def test_whatever_a_pack_may_store_is_served() -> None:
    assert set(_IMAGE_SUFFIXES) == set(CONTENT_TYPES)


@pytest.fixture
def production(tmp_path: Path) -> Iterator[str]:
    """Return the URL of gunicorn with DEBUG off, as in the containers."""
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "condor.webp").write_bytes(CONTENT)
    port = find_free_port(0)
    production = {"DEBUG": "off", "ALLOWED_HOSTS": "127.0.0.1", "SECURE_SSL_REDIRECT": "off"}
    production |= {"DJANGO_SETTINGS_MODULE": "kyndo.settings", "MEDIA_ROOT": str(tmp_path / "media")}
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "kyndo.wsgi",
        f"--bind=127.0.0.1:{port}",
        "--no-control-socket",
    ]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **production}, stdout=log, stderr=log
        )
    deadline = time.monotonic() + 100
    while not _listens(port):
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def _listens(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


def test_gunicorn_serves_pictures_with_debug_off(production: str) -> None:
    with urllib.request.urlopen(f"{production}/media/condor.webp") as response:
        headers: HTTPMessage = response.headers
        assert response.read() == CONTENT
        assert headers["Content-Type"] == "image/webp"
        assert headers.get_all("Content-Security-Policy") == ["default-src 'none'; sandbox"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{production}/media/gone.webp")
