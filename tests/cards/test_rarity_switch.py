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
from cards.rarity import rarity_field_at
from cards.thumbnails.stale import request_stale_rendering, stale_cards
from kyndo.localservices.ports import find_free_port
from ops.column_changes.position import record_step
from ops.column_changes.steps import Step
from ops.export.progress import TransferProgress
from ops.export.request import ExportRequest
from ops.export.write import write_export
from ops.models import ColumnChangeEvent
from ops.runs.rebuild import rebuild_operation
from tests.conftest import ROOT, Manage
from tests.ops.running import (
    audited_changes,
    create_run,
    execute_operation,
    execute_run,
    execute_sql,
    wait_until,
)

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
def played() -> Card:
    return Card.objects.create(card_id="played", title="C", pack_id="p")


@pytest.fixture
def card(played: Card) -> Card:
    """Create a card whose rarities differ on purpose; the newest is the first of the list."""
    with ILLUSTRATION.open("rb") as image:
        name = default_storage.save("condor.webp", image)
    return Card.objects.create(
        card_id="differs", title="C", pack_id="p", image=name, rarity="common", rarity_v2="epic"
    )


def switch(*, is_back: bool = False, **values: Any) -> None:
    record_step("rarity_v2", Step.SWITCH, "tester", is_back=is_back, **values)


@contextmanager
def process(*command: object, env: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("w") as output:
        started = subprocess.Popen(
            [sys.executable, *map(str, command)], cwd=ROOT, env=env, stdout=output, stderr=output
        )
    try:
        yield
    finally:
        started.terminate()
        started.wait(timeout=30)


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
    write_export(ExportRequest(overwrite=True), folder, TransferProgress(), Event())
    rows = json.loads((folder / "cards.json").read_text())
    return next(str(row["rarity"]) for row in rows if row["card_id"] == "differs")


def session_names() -> str:
    rows = execute_sql("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()")
    return ";".join(name for (name,) in rows)


@pytest.mark.long
@pytest.mark.usefixtures("redis_server")
def test_every_reader_takes_the_other_field_within_a_second(
    card: Card, played: Card, manage: Manage, tmp_path: Path, settings: Any
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
        readers = {
            "list": Readings(page_reader(port, "", r'class="cards-badge"[^>]*>([^<]*)<')),
            "filter": Readings(page_reader(port, "", r"[?&;](rarity\w*)__exact=")),
            "export": Readings(lambda: exported_rarity(tmp_path / "export")),
        }
        player = Readings(lambda: str(Card.objects.filter(pk=played.pk).update(title="Played")))
        sessions = Readings(session_names)
        request_stale_rendering("ada")
        wait_until(lambda: not stale_cards("rarity").exists())
        wait_until(lambda: all(len(reader.told) > 2 for reader in readers.values()))
        before = monotonic()
        switch()
        after = monotonic() + MAX_AGE
        wait_until(lambda: all(reader.since(after) for reader in readers.values()))
        request_stale_rendering("ada")
        wait_until(lambda: not stale_cards("rarity_v2").exists())
        for reader in [*readers.values(), player, sessions]:
            reader.stop()
    assert {name: (reader.until(before), reader.since(after)) for name, reader in readers.items()} == {
        "list": ({"common"}, {"epic"}),
        "filter": ({"rarity"}, {"rarity_v2"}),
        "export": ({"common"}, {"epic"}),
    }
    assert player.since(0) == {"1"}
    assert {"kyndo web", "kyndo worker"} <= {name for each in sessions.since(0) for name in each.split(";")}


@pytest.mark.engine
def test_a_promotion_goes_on_by_the_field_with_which_it_began(card: Card, played: Card) -> None:
    other = Card.objects.create(card_id="other", title="O", pack_id="p", rarity="epic", rarity_v2="common")
    params = {"from_rarity": "common", "to_rarity": "rare"}
    run = create_run(BulkPromote, params=params)
    switch()
    assert execute_run(run).state == "verification_failed", "the other card's rarities still differ"
    assert audited_changes(run).keys() == {str(card.pk), str(played.pk)}
    ColumnChangeEvent.objects.update(created_at=timezone.now() - timedelta(seconds=1))
    later = execute_operation(BulkPromote, params=params)
    assert (later.state, audited_changes(later).keys()) == ("succeeded", {str(other.pk)})
    switch(is_back=True)
    assert rebuild_operation(later).get_queryset().query.where.children[0].lhs.target.name == "rarity_v2"


def test_a_run_begun_just_after_the_step_reads_as_before_it(card: Card) -> None:
    switch()
    taken = ColumnChangeEvent.objects.get().created_at
    assert [rarity_field_at(taken + timedelta(seconds=s)) for s in (-1, 0.4, 0.6)] == [
        "rarity",
        "rarity",
        "rarity_v2",
    ]
