"""A declaration that cannot be run is refused on its own, with the reason; everything else works."""

import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db.models import F, QuerySet, Value
from django.utils import timezone

from ops.exceptions import InvalidDeclaration
from ops.management.base import OpsCommand, add_run_arguments
from ops.models import Claim, Run
from ops.operations import Check, Operation, registry
from ops.operations.contract import RENAMED_ATTRIBUTES, RESERVED_PARAM_NAMES
from ops.runs import creation, lifecycle
from ops.runs.creation import RunRequest
from ops.runs.preview import build_preview
from tests.manage import ROOT, Manage
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    create_run,
    create_things,
    execute_operation,
    execute_run,
    make_operation,
    make_row_operation,
)
from tests.trials.models import Thing
from tests.trials.operations import ScoreParams

pytestmark = pytest.mark.django_db(transaction=True)

MISSING = Thing.objects.filter(note=None)


class Reserved(forms.Form):
    filter = forms.CharField(required=False)


def declare_with(**attributes: Any) -> type[Operation]:
    """An operation that would do, but for these attributes."""
    return make_operation(MISSING, {"note": Value("x")}, **attributes)


def declare_changes(**changes: Any) -> type[Operation]:
    return make_operation(MISSING, changes)


def declare_rows(**filters: Any) -> type[Operation]:
    return declare_with(get_queryset=lambda self: Thing.objects.filter(**filters))


def declare_returning(method: str, answer: Any) -> type[Operation]:
    return declare_with(**{method: lambda self: answer})


def declare_process(columns: Any) -> type[Operation]:
    return declare_with(process=lambda self, rows: {}, columns=columns)


def raise_key_error(self: Any, *args: Any) -> Any:
    return {}["nope"]


def set_old_attribute(self: Any, *args: Any) -> None:
    Operation.__init__(self, *args)
    self.listed = None


def declare_bare(**attributes: Any) -> type[Operation]:
    return type("Trial", (Operation,), {"name": "trial", **attributes})


KEY_ERROR = "KeyError: 'nope' (test_validation.py, line "
UNKNOWN = "Cannot resolve keyword"
# A wrong declaration, and a part of its error message.
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a field of a filter": (
        lambda: declare_rows(nota=None),
        f"trial: get_queryset(): FieldError: {UNKNOWN} 'nota'",
    ),
    "a lookup of a filter": (
        lambda: declare_rows(note__is=1),
        "get_queryset(): FieldError: Unsupported lookup 'is'",
    ),
    "a value of a filter": (lambda: declare_rows(score="a"), "Field 'score' expected a number but got 'a'"),
    "a field of a change": (
        lambda: declare_changes(nota="x"),
        "writes 'nota', which trials.Thing does not have",
    ),
    "a field of an expression": (
        lambda: declare_changes(note=F("nam")),
        f"get_changes(): FieldError: {UNKNOWN} 'nam'",
    ),
    "a value of a change": (
        lambda: declare_changes(score="a"),
        "Field 'score' expected a number but got 'a'",
    ),
    "no get_queryset": (
        lambda: declare_bare(model=Thing, get_changes=lambda self: {"note": "x"}),
        "trial declares no get_queryset()",
    ),
    "no get_changes": (
        lambda: make_operation(MISSING),
        "writes no column: give get_changes(), or columns and",
    ),
    "no rows": (
        lambda: declare_returning("get_queryset", None),
        "get_queryset() returned nothing, not a queryset",
    ),
    "a manager": (lambda: declare_returning("get_queryset", Thing.objects), "returned a manager: add .all()"),
    "a list of rows": (
        lambda: declare_returning("get_queryset", [1]),
        "get_queryset() returned a list, not a queryset",
    ),
    "rows that raise": (
        lambda: declare_with(get_queryset=raise_key_error),
        f"trial: get_queryset(): {KEY_ERROR}",
    ),
    "no changes": (
        lambda: declare_returning("get_changes", None),
        "get_changes() returned nothing, not a mapping",
    ),
    "a set of changes": (
        lambda: declare_returning("get_changes", {"note"}),
        "get_changes() returned a set, not a mapping",
    ),
    "changes that raise": (
        lambda: declare_with(get_changes=raise_key_error),
        f"trial: get_changes(): {KEY_ERROR}",
    ),
    "an __init__ that raises": (
        lambda: declare_with(__init__=raise_key_error),
        f"trial: __init__(): {KEY_ERROR}",
    ),
    "no checks": (lambda: declare_returning("get_checks", None), "get_checks(): TypeError: 'NoneType'"),
    "checks that raise": (
        lambda: declare_with(get_checks=raise_key_error),
        f"trial: get_checks(): {KEY_ERROR}",
    ),
    "a bare queryset": (
        lambda: declare_returning("get_checks", [MISSING]),
        "a QuerySet, not a list of Check(label, queryset)",
    ),
    "a sliced check": (
        lambda: declare_returning("get_checks", [Check("few", MISSING[:3])]),
        "is sliced, combined or locks",
    ),
    "a locking check": (
        lambda: declare_returning("get_checks", [Check("all", MISSING.select_for_update())]),
        "is sliced, combined or locks",
    ),
    "a group_by of no field": (lambda: declare_with(group_by="nam"), f"group_by is 'nam': {UNKNOWN} 'nam'"),
    "a group_by of no text": (lambda: declare_with(group_by=3), "trial: group_by is 3: "),
    "a display_field of no field": (
        lambda: declare_with(display_field="nam"),
        f"trial: display_field is 'nam': {UNKNOWN} 'nam'",
    ),
    "a display_field of no text": (
        lambda: declare_with(display_field=None),
        "trial: display_field is None: ",
    ),
    "no model": (declare_bare, "trial names no model: give one, for example `model = Card`"),
    "a model by its name": (
        lambda: declare_with(model="trials.Thing"),
        "model is 'trials.Thing'; give the class",
    ),
    "params of no form": (
        lambda: declare_with(Params=dict),
        "Params is <class 'dict'>, which is not a form class: inherit from",
    ),
    "params filled in": (
        lambda: declare_with(Params=ScoreParams()),
        "is not a form class: inherit from forms.Form",
    ),
    "a reserved name": (
        lambda: declare_with(Params=Reserved),
        "the parameter filter is also an option of every command: rename it",
    ),
    "a bad example": (
        lambda: declare_with(Params=ScoreParams, example={"score": "a"}),
        "score: Enter a whole number.",
    ),
    "an example too large": (
        lambda: declare_with(Params=ScoreParams, example={"score": 9999}),
        "than or equal to 2000.",
    ),
    "an example of nothing": (
        lambda: declare_with(example={"shoe": 1}),
        "gives shoe, which is not a parameter",
    ),
    "an example in a list": (
        lambda: declare_with(example=["shoe"]),
        "example is ['shoe']; give parameters by name, or",
    ),
    "columns in one text": (lambda: declare_process("note"), "columns is 'note'; give a list of names"),
    "columns in a set": (lambda: declare_process({"note"}), "columns is {'note'}; give a list of names"),
    "other columns": (
        lambda: declare_with(columns=["score"]),
        "columns are score, and get_changes() sets note; set",
    ),
    "depends_on in one text": (
        lambda: declare_with(depends_on="name"),
        "depends_on is 'name'; give a list of names",
    ),
    "a rate of nothing": (lambda: declare_with(estimated_rate=0), "estimated_rate is 0; give rows a second"),
    "an old attribute": (
        lambda: declare_with(label="name"),
        "trial: the attribute label is now called display_field: rename it in the class",
    ),
    "an old attribute of the instance": (
        lambda: declare_with(__init__=set_old_attribute),
        "trial: the attribute listed is now called key_list: rename it in the class",
    ),
    "no operation": (lambda: Thing, "is not an operation: inherit from ops.operations.Operation"),
    "a name of no text": (
        lambda: declare_with(name=7),
        "7 is not a valid operation name. Use lower-case letters, digits and underscores, for",
    ),
}
EACH = pytest.mark.parametrize(("declared", "message"), WRONG.values(), ids=WRONG)


@EACH
@pytest.mark.usefixtures("declare")
def test_a_wrong_declaration_is_refused_with_its_error(declared: Any, message: str) -> None:
    with pytest.raises(InvalidDeclaration) as refused:
        registry.register(declared())
    assert message in str(refused.value)


@pytest.mark.parametrize(("old", "new"), RENAMED_ATTRIBUTES.items())
@pytest.mark.usefixtures("declare")
def test_an_attribute_by_its_old_name_is_refused_with_the_new_one(old: str, new: str) -> None:
    """Also one that a base class gives, of whatever kind: a value, a method, a property."""
    base = type("Base", (Operation,), {old: property(raise_key_error)})
    for declared in (
        declare_with(**{old: None}),
        declare_returning(old, None),
        make_operation(MISSING, {"note": "x"}, base=base),
    ):
        with pytest.raises(InvalidDeclaration, match=rf"^trial: the attribute {old} is now called {new}:"):
            registry.register(declared)
    assert hasattr(Operation, new)
    assert not hasattr(Operation, old)


@pytest.fixture
def loading(declare: RegisterOperation, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while the apps are being loaded; what is declared is forgotten when the test ends."""
    monkeypatch.setattr(registry, "_discovered", False)
    monkeypatch.setattr(registry, "_registration_errors", {})
    monkeypatch.setattr(registry, "_import_errors", {})


@EACH
@pytest.mark.usefixtures("loading")
def test_a_wrong_declaration_in_an_app_is_a_warning(declared: Any, message: str) -> None:
    good = registry.list_operations()
    registry.register(declared())
    [warning] = run_checks(tags=["operations"])
    assert (warning.id, warning.level, "docs/operations.md" in str(warning.hint)) == ("ops.W001", 30, True)
    assert message in warning.msg
    assert registry.list_operations() == good
    assert registry.get_operation("trials_annotate")


@pytest.mark.usefixtures("loading")
def test_a_refused_operation_says_so_to_every_command() -> None:
    registry.register(declare_rows(nota=None))
    for typed in ([], ["--execute"], ["--score", "7"], ["--help"]):
        with pytest.raises(CommandError, match=r"^trial: get_queryset\(\): FieldError"):
            call_command("operate", "trial", *typed)


@pytest.mark.usefixtures("loading")
def test_a_second_operation_of_the_same_name_is_refused() -> None:
    first = registry.register(declare_with())
    registry.register(declare_with())
    assert registry.get_operation("trial") is first
    assert "trial is registered already, by Trial" in run_checks(tags=["operations"])[0].msg


def test_a_declaration_that_queries_is_validated_when_it_is_built(declare: RegisterOperation) -> None:
    """`migrate` comes before the tables, and any command while the server is away."""
    queries = []

    def rows(self: Operation) -> QuerySet[Thing]:
        queries.append(list(Thing.objects.values_list("note", flat=True)))
        return Thing.objects.filter(nota=1)

    trial = declare(declare_with(get_queryset=rows))
    assert queries == []
    with pytest.raises(InvalidDeclaration, match="'nota'"):
        create_run(trial)
    assert queries == [[]]


def test_no_parameter_has_the_name_of_an_option_of_a_command() -> None:
    parser = OpsCommand().create_parser("manage.py", "operate")
    add_run_arguments(parser)
    flags = {flag.removeprefix("--").replace("-", "_") for a in parser._actions for flag in a.option_strings}
    assert {
        name for name in flags | {a.dest for a in parser._actions} if not name.startswith("_")
    } <= RESERVED_PARAM_NAMES


def declare_now_in_rows() -> type[Operation]:
    return declare_rows_each_time(lambda: {"updated_at__lt": timezone.now()})


def declare_rows_each_time(filters: Callable[[], dict[str, Any]]) -> type[Operation]:
    return declare_with(get_queryset=lambda self: Thing.objects.filter(**filters()))


UNSTEADY = {
    "now in the rows": declare_now_in_rows,
    "now in the changes": lambda: declare_with(get_changes=lambda self: {"updated_at": timezone.now()}),
    "a random value": lambda: declare_with(
        get_changes=lambda self: {"score": random.random() * 100 // 0.001}
    ),
    "random rows": lambda: declare_rows_each_time(lambda: {"pk__gt": random.randrange(10**9)}),
    "now where Python makes the values": lambda: make_row_operation(
        MISSING, dict, "note", get_queryset=lambda self: Thing.objects.filter(updated_at__lt=timezone.now())
    ),
}


@pytest.mark.parametrize("declared", UNSTEADY.values(), ids=UNSTEADY)
@pytest.mark.parametrize("begin", [build_preview, creation.create_run], ids=["preview", "create"])
def test_an_operation_that_differs_each_time_starts_no_run(
    declare: RegisterOperation, declared: Any, begin: Any
) -> None:
    create_things(2)
    with pytest.raises(InvalidDeclaration, match=r"^trial differs each time it is built \(first ") as refused:
        begin(RunRequest(declare(declared()), "me"))
    assert "Take the time from self.as_of" in str(refused.value)
    assert not Run.objects.exists()
    assert not Claim.objects.exists()


@pytest.mark.usefixtures("loading")
@pytest.mark.parametrize("declared", UNSTEADY.values(), ids=UNSTEADY)
def test_an_operation_that_differs_each_time_is_a_warning(declared: Any) -> None:
    registry.register(declared())
    [warning] = run_checks(tags=["operations"])
    assert (warning.id, "Take the time from self.as_of" in warning.msg) == ("ops.W002", True)


def test_params_that_raise_are_reported_in_a_line(declare: RegisterOperation) -> None:
    class Raising(forms.Form):
        clean = raise_key_error

    with pytest.raises(InvalidDeclaration, match=r"^trial: Params: KeyError: 'nope' \(test_validation.py"):
        create_run(declare(declare_with(Params=Raising)))


def test_a_percent_sign_in_a_text_is_one_in_the_help(
    declare: RegisterOperation, capsys: pytest.CaptureFixture[str]
) -> None:
    class Raise(forms.Form):
        by = forms.IntegerField(help_text="By so many % of the price.")

    declare(declare_with(Params=Raise, example={"by": 10}, __doc__="Raise prices by 10 % each."))
    for typed in (["operate", "--help"], ["operate", "trial", "--help"]):
        with pytest.raises(SystemExit):
            call_command(*typed)
    output = capsys.readouterr().out
    assert ("Raise prices by 10 % each." in output, "By so many % of the price." in output) == (True, True)


def test_as_of_stays_the_same_until_the_run_ends(declare: RegisterOperation) -> None:
    rows = declare_with(get_queryset=lambda self: Thing.objects.filter(note=None, updated_at__lt=self.as_of))
    create_things(8)
    run = create_run(declare(rows), batch_size=3)
    lifecycle.start(run)
    lifecycle.pause(run)
    lifecycle.requeue(run)
    assert execute_run(run).state == "succeeded"


def test_a_run_whose_operation_differs_keeps_no_claims(declare: RegisterOperation, manage: Manage) -> None:
    """Chance may make the first two builds alike, and the third another one."""
    built: list[Any] = []

    def rows(self: Any) -> QuerySet[Thing]:
        if self not in built:
            built.append(self)
        return Thing.objects.exclude(score=max(0, built.index(self) - 2))

    create_things(1)
    declare(declare_with(get_queryset=rows))
    refused = manage("operate", "trial", "--execute")
    assert refused.returncode == 1
    assert "trial differs each time it is built" in refused.stderr
    assert Run.objects.get().state == "failed"
    assert not Claim.objects.exists()


FINGERPRINT = """
import django; django.setup()
from django.db.models import Q
from django.utils import timezone
from functools import reduce
from operator import or_
from ops.operations.validation import build_operation, fingerprint
from ops.operations import Operation
from tests.trials.models import Thing
NAMES = {"ash", "beech", "cedar", "fir", "oak", "pine"}
class Trial(Operation):
    name, model, columns = "trial", Thing, ["note"]
    def process(self, rows): return {}
    def get_queryset(self):
        either = reduce(or_, (Q(name__icontains=name) for name in NAMES))
        for name in NAMES:
            either &= ~Q(note=name)
        return Thing.objects.filter(either, name__in=NAMES).exclude(note__in=NAMES)
print(fingerprint(build_operation(Trial, {}, timezone.now())))
"""


def test_the_order_of_a_set_does_not_change_the_fingerprint() -> None:
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    fingerprints = {
        subprocess.check_output(
            [sys.executable, "-c", FINGERPRINT], env={**env, "PYTHONHASHSEED": str(seed)}, cwd=ROOT
        )
        for seed in (1, 2, 3)
    }
    assert len(fingerprints) == 1


def test_notes_that_raise_become_a_note(declare: RegisterOperation) -> None:
    create_things(1)
    trial = declare(declare_with(get_notes=raise_key_error))
    assert build_preview(RunRequest(trial, "me")).notes[0].startswith(f"get_notes(): {KEY_ERROR}")
    assert execute_operation(trial).state == "succeeded"


OPERATIONS = """
from django.db.models import F
from ops.operations import Operation, register
from tests.trials.models import Thing

@register
class Typo(Operation):
    name, model = "spoilt_typo", Thing
    def get_queryset(self): return Thing.objects.filter(nota=None)
    def get_changes(self): return {"note": F("name")}

@register
class Bare(Operation):
    name = "spoilt_bare"

@register
class Nameless(Operation):
    model = Thing

@register
class Good(Operation):
    name, model = "spoilt_good", Thing
    def get_queryset(self): return Thing.objects.filter(note=None)
    def get_changes(self): return {"note": F("name")}
"""
COMMAND = """
from ops.management.base import OperationCommand
class Command(OperationCommand):
    operation = "spoilt_typo"
"""
OTHERS = OPERATIONS.replace("spoilt_", "other_")
FILES = {
    "spoilt/__init__.py": "",
    "spoilt/operations.py": OPERATIONS,
    "spoilt/management/__init__.py": "",
    "spoilt/management/commands/__init__.py": "",
    "spoilt/management/commands/spoilt_typo.py": COMMAND,
    "unimportable/__init__.py": "",
    "unimportable/operations.py": OPERATIONS.replace("spoilt_", "other_")
    + "from ops.operations.base import Operacion\n",
    "unimportable/management/__init__.py": "",
    "unimportable/management/commands/__init__.py": "",
    "unimportable/management/commands/needs_it.py": "from unimportable.operations import Anything",
    "unreadable/__init__.py": "",
    "unreadable/operations.py": "def get_queryset(self:\n",
    "spoilt_settings.py": "from tests.settings import *\n"
    "SILENCED_SYSTEM_CHECKS = ['fields.E001']\n"  # a field of the trials, which is there on purpose
    "INSTALLED_APPS = [*INSTALLED_APPS, 'spoilt', 'unimportable', 'unreadable']\n",
}
Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def typed(manage: Manage, tmp_path: Path) -> Typed:
    """A command of a project with apps that are spoilt."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    env = {"DJANGO_SETTINGS_MODULE": "spoilt_settings", "PYTHONPATH": str(tmp_path)}
    return lambda *args: manage.process(*args, env=env)


@pytest.mark.long
def test_a_project_with_broken_operations_works(typed: Typed) -> None:
    create_things(3)
    checked = typed("check")
    assert checked.returncode == 0, checked.stderr
    assert checked.stderr.count("ops.W001") == 8
    for line in (
        "spoilt.operations.Typo: (ops.W001) spoilt_typo: get_queryset(): FieldError: Cannot resolve keyword",
        "spoilt.operations.Bare: (ops.W001) spoilt_bare names no model",
        "spoilt.operations.Nameless: (ops.W001) Nameless.name: '' is not a valid operation name",
        "unimportable.operations: (ops.W001) cannot be imported: ImportError: cannot import name 'Operacion'",
        "unreadable.operations: (ops.W001) cannot be imported: SyntaxError: '(' was never closed",
    ):
        assert line in checked.stderr
    for args in (["migrate"], ["runs"], ["migration_log", "--since", "1h"], ["operate", "--help"]):
        done = typed(*args)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    done = typed("operate", "spoilt_good", "--execute")
    assert (done.returncode, Thing.objects.filter(note=None).count()) == (0, 0)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["operate", "spoilt_typo", "--execute"], "spoilt_typo: get_queryset(): FieldError: Cannot resolve"),
        (["spoilt_typo"], "spoilt_typo: get_queryset(): FieldError: Cannot resolve"),
        (["operate", "spoilt_bare"], "spoilt_bare names no model"),
        (
            ["needs_it"],
            "unimportable.operations cannot be imported: ImportError: cannot import name",
        ),
        (["operate", "spoilt_else"], "unimportable.operations cannot be imported: ImportError"),
    ],
)
def test_a_broken_operation_is_reported_in_one_line(typed: Typed, args: list[str], message: str) -> None:
    done = typed(*args)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_of_an_operation_refused_since_is_shown_and_reverted(
    declare: RegisterOperation, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_things(2)
    run = execute_operation(declare(declare_with()))
    monkeypatch.setattr(registry, "_discovered", False)
    declare(declare_rows(nota=None))
    assert manage("runs", "show", run.pk).returncode == 0
    assert "trial: get_queryset(): FieldError" in manage("runs", "resume", run.pk).stderr
    assert manage("runs", "revert", run.pk, "--execute").returncode == 0
    assert Thing.objects.filter(note=None).count() == 2
