"""A column change that is declared wrongly is refused in words; the others stay usable."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db.models import F, Model

from ops.column_changes import ColumnChange, register_change
from ops.column_changes import registry as changes
from ops.exceptions import InvalidDeclaration
from ops.operations import registry
from tests.trials.models import SpecialThing, Thing

HOUR = timedelta(hours=1)
DECLARED: dict[str, Any] = {"name": "trial", "model": Thing, "old": "name", "new": "note"}
ABSTRACT = type(
    "Abstract", (Model,), {"__module__": "tests.trials.models", "Meta": type("Meta", (), {"abstract": True})}
)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten when it ends."""
    monkeypatch.setattr(registry, "_operations", dict(registry._operations))
    monkeypatch.setattr(registry, "_registration_errors", {})
    monkeypatch.setattr(changes, "_changes", dict(changes._changes))


def declare(**attributes: Any) -> type[ColumnChange]:
    return type("Trial", (ColumnChange,), {**DECLARED, **attributes})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "Trial.name: None is not a valid operation name. Use lower-case letters"),
    ({"name": "no-dashes"}, "Trial.name: 'no-dashes' is not a valid operation name."),
    ({"name": "n" * 41}, f"Trial.name: {'n' * 41} has 41 characters; a column change may have 40"),
    ({"model": "Thing"}, "trial: model is 'Thing'; give the class"),
    ({"model": None}, "trial names no model"),
    ({"model": ABSTRACT}, "trial: Abstract is abstract, so it has no table"),
    ({"old": None}, "trial: old is None; give the name of a field of trials.Thing"),
    ({"new": Thing.note}, "give the name of a field of trials.Thing"),
    ({"old": "note"}, "trial: old and new are both note; give two fields"),
    ({"new": "nota"}, "trial: trials.Thing has no field 'nota'; it has id, name, note, score,"),
    ({"old": "nama", "new": "nota"}, "trial: trials.Thing has no field 'nota'"),
    ({"old": "nama", "new": "nota", "swap": True}, "trial: trials.Thing has no field 'nama'"),
    ({"old": "tags"}, "trial: tags is a relation of another model"),
    (
        {"model": SpecialThing, "new": "extra"},
        "trial: name is a field of trials.Thing, and extra of trials.SpecialThing: both have to be columns",
    ),
    ({"mapping": [("a", "b")]}, "trial: mapping is [('a', 'b')]; give a dict"),
    ({"mapping": {"a": ["b"]}}, "trial: mapping has the new value ['b'], which has no way back"),
    (
        {"mapping": {"a": "b"}, "get_new_value": lambda self: F("name")},
        "trial has a mapping and get_new_value(): give one of them",
    ),
    ({"mapping": {"a": "b"}, "get_old_value": lambda self: None}, "trial has a mapping and get_old_value()"),
    ({"get_new_value": lambda self: F("name")}, "trial has get_new_value() and no get_old_value()"),
    ({"unmappable": "ignore"}, "trial: unmappable is 'ignore'; give 'refuse' or 'keep'"),
    ({"swap": "yes"}, "trial: swap is 'yes'; give True or False"),
    ({"retire_after": 48}, "trial: retire_after is 48; give a timedelta"),
    ({"drop_after": -HOUR}, "trial: drop_after is datetime.timedelta("),
    ({"retire_after": 0 * HOUR}, "trial: retire_after is zero; say why in no_wait_reason"),
    ({"drop_after": 0 * HOUR, "no_wait_reason": " "}, "trial: drop_after is zero; say why"),
    ({"no_wait_reason": None}, "trial: no_wait_reason is None; give a text"),
    ({"operation": "No Spaces"}, "trial: operation: 'No Spaces' is not a valid operation name."),
    ({"operation": "revert"}, "revert is registered already, by Revert"),
    ({"group_by": "nota"}, "nota"),
]
EACH = pytest.mark.parametrize(("attributes", "words"), WRONG)


@EACH
def test_a_wrong_change_is_refused_in_words(attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidDeclaration) as caught:
        register_change(declare(**attributes))
    assert words in str(caught.value)
    assert "trial" not in changes._changes


@EACH
def test_a_wrong_change_of_an_app_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, attributes: dict[str, Any], words: str
) -> None:
    """Raised while apps are loaded, it would end every command."""
    before = changes.list_changes()
    monkeypatch.setattr(registry, "_discovered", False)
    register_change(declare(**attributes))
    monkeypatch.setattr(registry, "_discovered", True)
    [warning] = run_checks(tags=["operations"])
    assert (warning.id, words in warning.msg) == ("ops.W001", True)
    assert [each for each in changes.list_changes() if each.name != "trial"] == before


def test_what_is_no_class_of_a_change_is_refused() -> None:
    for declared in (Thing, "trial", declare()()):
        with pytest.raises(InvalidDeclaration, match=r"is not a column change: inherit from"):
            register_change(declared)  # type: ignore[type-var]


def test_a_change_that_is_refused_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_discovered", False)
    register_change(declare(new="nota"))
    with pytest.raises(
        CommandError, match=r"^No column change is called 'trial'; .* To see what is refused: "
    ):
        call_command("column_change", "trial")


def test_a_second_change_of_the_same_name_is_refused() -> None:
    first = register_change(declare())
    with pytest.raises(InvalidDeclaration, match=r"^trial is registered already, by Trial$"):
        register_change(declare())
    assert changes.get_change("trial") is first


@pytest.mark.parametrize(
    ("attributes", "has_operation"),
    [
        ({}, True),
        ({"mapping": {"a": "x", "b": "x"}, "unmappable": "keep"}, True),
        ({"get_new_value": lambda self: F("name"), "get_old_value": lambda self: None}, True),
        ({"swap": True, "retire_after": 0 * HOUR, "no_wait_reason": "Nobody else is there."}, True),
        ({"old": "gone"}, False),
        ({"new": "gone", "swap": True}, False),
        ({"old": "gone", "get_new_value": lambda self: F("gone"), "get_old_value": lambda self: None}, False),
    ],
)
def test_a_right_change_is_registered(attributes: dict[str, Any], has_operation: bool) -> None:
    """Also one whose old field has left the model, or, by a swap, the name of the new one."""
    change = register_change(declare(**attributes))
    assert changes.get_change("trial") is change
    assert ("backfill_trial" in registry._operations) is has_operation
    assert run_checks(tags=["operations"]) == []


def test_a_swap_of_two_equal_columns_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    name, note = map(Thing._meta.get_field, ("name", "note"))
    monkeypatch.setattr(note, "max_length", 20)
    monkeypatch.setattr(note, "null", False)
    assert name.deconstruct()[1:] == note.deconstruct()[1:]
    with pytest.raises(
        InvalidDeclaration, match=r"^trial: swap is set, but name and note have the same type"
    ):
        register_change(declare(swap=True))
    register_change(declare())
