"""What a preview tells of triggers that come after, and of rows that a role may not see."""

from typing import Any

import pytest
from django.db.models import F

from ops.operations.revert import Revert
from ops.runs.creation import RunRequest
from ops.runs.preview import build_preview
from ops.runs.rebuild import rebuild_operation
from tests.ops.conftest import RegisterOperation
from tests.ops.running import audited_changes, create_things, execute_operation, execute_sql, make_operation
from tests.trials.models import Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

FILL = make_operation(Thing.objects.filter(note=None), {"note": F("name")})
REWRITE = (
    "IF NEW.note <> 'mine' THEN UPDATE trials_thing SET note = 'mine' WHERE id = NEW.id; END IF; RETURN NEW;"
)


def notes_of(declared: Any, **options: Any) -> list[str]:
    return build_preview(RunRequest(declared, "tester", **options)).notes


@pytest.mark.parametrize(
    ("when", "is_expected"),
    [
        ("AFTER UPDATE", True),
        ("AFTER INSERT OR UPDATE OF note", True),
        ("AFTER UPDATE OF updated_at", True),
        ("AFTER UPDATE OF score", False),
        ("AFTER INSERT OR DELETE", False),
        ("BEFORE UPDATE", False),
    ],
)
def test_a_preview_names_the_after_triggers(
    declare: RegisterOperation, trigger: Any, when: str, is_expected: bool
) -> None:
    create_things(1)
    trigger("trials_thing", "RETURN NEW;", when)
    warnings = [
        "AFTER triggers on this table: trial. What they write is not audited,"
        " and what they write into note, updated_at is not reverted"
    ]
    assert notes_of(declare(FILL)) == (warnings if is_expected else [])


def test_a_disabled_trigger_is_not_named(declare: RegisterOperation, trigger: Any) -> None:
    trigger("trials_thing", "RETURN NEW;", "AFTER UPDATE")
    execute_sql("ALTER TABLE trials_thing DISABLE TRIGGER trial")
    assert notes_of(declare(FILL)) == []


def test_what_an_after_trigger_writes_is_not_audited_nor_reverted(
    declare: RegisterOperation, trigger: Any
) -> None:
    """As docs/engine.md says."""
    [row] = create_things(1)
    trigger("trials_thing", REWRITE, "AFTER UPDATE")
    run = execute_operation(declare(FILL))
    assert audited_changes(run) == {str(row.pk): {"note": {"old": None, "new": "t1"}}}
    revert = execute_operation(Revert, params={"run": run.pk})
    assert (audited_changes(revert), Thing.objects.get().note) == ({}, "mine")
    [note] = rebuild_operation(revert).get_notes(revert)
    assert note.startswith(f"1 thing was changed or deleted after run {run.pk}, so it was not reverted")


def test_a_preview_warns_of_row_level_security(declare: RegisterOperation) -> None:
    create_things(2)
    execute_sql(
        "CREATE ROLE trials_blind; GRANT ALL ON ALL TABLES IN SCHEMA public TO trials_blind;"
        "ALTER TABLE trials_thing ENABLE ROW LEVEL SECURITY; SET ROLE trials_blind"
    )
    try:
        preview = build_preview(RunRequest(declare(FILL), "tester"))
    finally:
        execute_sql(
            "RESET ROLE; ALTER TABLE trials_thing DISABLE ROW LEVEL SECURITY;"
            "DROP OWNED BY trials_blind; DROP ROLE trials_blind"
        )
    assert (preview.total, len(preview.notes)) == (0, 1)
    assert preview.notes[0].startswith("row-level security limits this role: things that it may not read")
