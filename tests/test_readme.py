"""Run the operation of the README, exactly as printed there."""

import re
from pathlib import Path
from threading import Event

import pytest

from cards.models import Card
from ops.engine.loop import run_batches
from ops.models import AuditLog
from ops.operations import registry
from ops.runs.creation import RunRequest, create_run
from ops.states import State

README = Path(__file__).resolve().parent.parent / "README.md"


class SilentReporter:
    def on_batch(self, run, size):
        pass

    def on_retry(self, reason):
        raise AssertionError(reason)

    def on_hold(self, run):
        raise AssertionError(run.held_reason)

    def on_note(self, message):
        raise AssertionError(message)


@pytest.fixture
def operation(monkeypatch):
    monkeypatch.setattr(registry, "_operations", dict(registry._operations))
    [code, *_] = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    namespace = {}
    exec(code, namespace)
    return namespace["LowerPackIds"]


@pytest.mark.django_db(transaction=True)
def test_the_readmes_operation_runs_is_audited_and_reverts(operation):
    Card.objects.bulk_create(
        Card(card_id=f"c{n}", title="A card", pack_id=pack)
        for n, pack in enumerate(["Andes", "andes", "PÁRAMO"])
    )
    run = create_run(RunRequest(operation, performed_by="test"))
    assert run_batches(run, SilentReporter(), Event()) == State.SUCCEEDED
    assert set(Card.objects.values_list("pack_id", flat=True)) == {"andes", "páramo"}
    assert AuditLog.objects.filter(run=run).count() == 2

    revert = create_run(
        RunRequest(registry.get_operation("revert"), performed_by="test", params={"run": run.pk})
    )
    assert run_batches(revert, SilentReporter(), Event()) == State.SUCCEEDED
    assert set(Card.objects.values_list("pack_id", flat=True)) == {"Andes", "andes", "PÁRAMO"}


def test_the_readmes_operation_has_ten_lines():
    [code, *_] = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    body = [line for line in code[code.index("@register") :].splitlines() if line.strip()]
    assert len(body) <= 10
