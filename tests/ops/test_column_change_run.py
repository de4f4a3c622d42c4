"""A run, its page and the migration log tell of the column change that a run belongs to."""

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from redis import Redis

from ops.column_changes import ColumnChange, position, registry
from ops.column_changes.steps import Step
from ops.models import ColumnChangeEvent
from ops.operations.revert import Revert
from ops.report.run import detail_fields
from tests.admin_pages import page_text
from tests.conftest import Manage
from tests.ops.running import create_run, create_things, execute_operation, execute_run
from tests.trials.models import Thing
from tests.trials.operations import Annotate, SetScore

pytestmark = pytest.mark.django_db(transaction=True)

NEXT = "manage.py column_change thing_note next"


class Change(ColumnChange):
    name = "thing_note"
    model = Thing
    old = "name"
    new = "note"
    operation = Annotate.name


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._changes, Change.name, Change)


def test_a_run_says_which_step_it_is_and_what_comes_next() -> None:
    position.record_step(Change.name, Step.EXPAND, "ada")
    create_things(2)
    run = create_run(Annotate)
    told = [detail_fields(run)["part of"]]
    execute_run(run)
    told.append(detail_fields(run)["part of"])
    position.record_step(Change.name, Step.BACKFILL, "ada", run=run)
    told.append(detail_fields(run)["part of"])
    for step in list(Step)[2:]:
        position.record_step(Change.name, step, "ada")
    told.append(detail_fields(run)["part of"])
    assert told == [
        f"column change thing_note: backfill (step 2 of 7); {ending}"
        for ending in (
            f"to go on: {NEXT}",
            f"to record the step: {NEXT}",
            f"next: verify ({NEXT})",
            "all steps are taken",
        )
    ]


def test_with_swap_there_is_no_step_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Change, "swap", True)
    create_things(1)
    run = execute_operation(Annotate)
    position.record_step(Change.name, Step.CONSTRAIN, "ada")
    told = detail_fields(run)["part of"]
    assert told == f"column change thing_note: backfill (step 2 of 6); next: retire ({NEXT})"


def test_a_revert_says_so_and_another_run_nothing() -> None:
    create_things(2)
    run = execute_operation(Annotate)
    revert = execute_operation(Revert, params={"run": run.pk})
    assert detail_fields(revert)["part of"] == "column change thing_note: back from backfill (step 2 of 7)"
    assert "part of" not in detail_fields(execute_operation(SetScore, params={"score": 5}))


def test_the_summary_of_the_run_says_how_to_go_on(manage: Manage) -> None:
    create_things(2)
    done = manage("operate", Annotate.name, "--execute")
    assert done.stdout.endswith(f"To go on with the column change: {NEXT}\n")
    done = manage("operate", SetScore.name, "--score", "5", "--execute")
    assert "column change" not in done.stdout


def test_the_page_of_the_run_shows_it(client: Client, redis_server: "Redis") -> None:
    client.force_login(User.objects.create_superuser("ada"))
    create_things(2)
    run = execute_operation(Annotate)
    page = page_text(client.get(f"/admin/ops/run/{run.pk}/live/"))
    assert "part of column change thing_note: backfill (step 2 of 7)" in page


def test_the_migration_log_has_every_step_and_way_back() -> None:
    ColumnChangeEvent.objects.all().delete()  # of the migrations of the test database
    create_things(1)
    run = execute_operation(Annotate)
    position.record_step(Change.name, Step.BACKFILL, "ada", run=run)
    position.record_step(Change.name, Step.RETIRE, "bob", reason="a trial")
    position.record_step(Change.name, Step.RETIRE, "eve", is_back=True)
    out = StringIO()
    call_command("migration_log", "--as", "ada", "--since", "1h", stdout=out)
    lines = [line.partition(" ")[2] for line in out.getvalue().splitlines() if "Column change" in line]
    assert [line.split(" at ")[0] for line in lines] == [
        f"✅ Column change `thing_note`: step backfill taken by run {run.pk}",
        "✅ Column change `thing_note`: step retire taken",
        "↩️ Column change `thing_note`: step retire taken back",
    ]
    assert [line.partition(", by ")[2] for line in lines] == ["ada", "bob: a trial", "eve"]
    assert "**Applied By**: ada, bob, eve, tester" in out.getvalue()
