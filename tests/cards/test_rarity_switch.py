"""The step switch of rarity_v2: every reader takes the other field, and runs that had begun keep theirs."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.utils import timezone

from cards.models import Card, PresentationRule
from cards.operations import BulkPromote
from cards.rarity import rarity_field
from cards.thumbnails.stale import request_stale_rendering, stale_cards
from kyndo.localservices.ports import find_free_port
from ops.column_changes.position import record_step
from ops.column_changes.steps import Step
from ops.export.request import ExportRequest
from ops.export.write import write_export
from ops.models import ColumnChangeEvent
from ops.runs.creation import create_run
from tests.conftest import ROOT, Manage
from tests.ops.running import execute_operation, execute_run, execute_sql, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rules")]

ILLUSTRATION = ROOT / "cards" / "sample" / "images" / "condor-de-los-andes.webp"
MAX_AGE = 1.0  # seconds


class Readings:
    """What a reader that goes on in a thread was told, and when it asked and had its answer."""

    def __init__(self, read: Callable[[], str]) -> None:
        self.read = read
        self.told: list[tuple[float, float, str]] = []
        self.stopped = Event()
        self.thread = Thread(target=self._go_on, daemon=True)
        self.thread.start()

    def _go_on(self) -> None:
        while not self.stopped.is_set():
            began = monotonic()
            value = self.read()
            self.told.append((began, monotonic(), value))
        connection.close()

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join()

    def until(self, moment: float) -> set[str]:
        return {value for _, ended, value in self.told if ended < moment}

    def since(self, moment: float) -> set[str]:
        return {value for began, _, value in self.told if began > moment}


@pytest.fixture
def card() -> Card:
    """Create a card whose rarities differ on purpose."""
    with ILLUSTRATION.open("rb") as image:
        name = default_storage.save("condor.webp", image)
    return Card.objects.create(
        card_id="c", title="C", pack_id="p", image=name, rarity="common", rarity_v2="epic"
    )


def switch(*, is_back: bool = False, **values: Any) -> None:
    record_step("rarity_v2", Step.SWITCH, "tester", is_back=is_back, **values)


@contextmanager
def process(*command: object, env: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("w") as output:
        started = subprocess.Popen(
            [sys.executable, *map(str, command)], cwd=ROOT, env=env, stdout=output, stderr=output
        )
    yield
    started.terminate()
    started.wait()


def page_reader(port: int, query: str, pattern: str) -> Callable[[], str]:
    """Return a function that asks the site for a list of cards, and finds the pattern in it."""
    client = Client()
    client.force_login(User.objects.get_or_create(username="ada", is_staff=True, is_superuser=True)[0])
    cookie = {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}

    def read() -> str:
        url = f"http://127.0.0.1:{port}/admin/cards/card/{query}"
        with urllib.request.urlopen(urllib.request.Request(url, headers=cookie)) as response:
            found = re.search(pattern, response.read().decode(), re.DOTALL)
        return found[1].strip() if found else "nothing"

    return read


def is_serving(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").close()
    except OSError:
        return False
    return True


def exported_rarity(folder: Path) -> str:
    write_export(ExportRequest(overwrite=True), folder, lambda *_: None, Event())
    return str(json.loads((folder / "cards.json").read_text())[0]["rarity"])


@pytest.mark.long
@pytest.mark.usefixtures("redis_server")
def test_every_reader_takes_the_other_field_within_a_second(
    card: Card, manage: Manage, tmp_path: Path, settings: Any
) -> None:
    PresentationRule.objects.filter(rarity="epic").update(frame_color="#123456")
    port = find_free_port(0)
    env = os.environ | {"DATABASE_URL": manage.database_url, "MEDIA_ROOT": str(settings.MEDIA_ROOT)}
    env |= {"DJANGO_SETTINGS_MODULE": "kyndo.settings", "RUN_BEAT": "1", "CONN_MAX_AGE": "60"}
    gunicorn = ("-m", "gunicorn", "kyndo.wsgi", f"--bind=127.0.0.1:{port}", "--no-control-socket")
    with (
        process(*gunicorn, env=env, log=tmp_path / "web.log"),
        process("manage.py", "rqworker", "default", env=env, log=tmp_path / "worker.log"),
    ):
        wait_until(lambda: is_serving(port))
        badge = r'class="cards-badge"[^>]*>([^<]*)<'
        readers = {
            "list": Readings(page_reader(port, "", badge)),
            "filter": Readings(page_reader(port, f"?{rarity_field()}__exact=common", badge)),
            "export": Readings(lambda: exported_rarity(tmp_path / "export")),
        }
        player = Readings(lambda: str(Card.objects.filter(pk=card.pk).update(title="Played")))
        request_stale_rendering("ada")
        wait_until(lambda: not stale_cards("rarity").exists())
        wait_until(lambda: all(len(reader.told) > 2 for reader in readers.values()))
        before = monotonic()
        switch()
        after = monotonic() + MAX_AGE
        wait_until(lambda: all(reader.since(after) for reader in readers.values()))
        request_stale_rendering("ada")
        wait_until(lambda: not stale_cards("rarity_v2").exists())
        names = {name for (name,) in execute_sql("SELECT application_name FROM pg_stat_activity")}
        for reader in [*readers.values(), player]:
            reader.stop()
    told = {name: (reader.until(before), reader.since(after)) for name, reader in readers.items()}
    # The filter is a field's, as its URL says; the badge is what readers show.
    assert told == dict.fromkeys(readers, ({"common"}, {"epic"}))
    assert player.since(0) == {"1"}
    assert {"kyndo web", "kyndo worker"} <= names
