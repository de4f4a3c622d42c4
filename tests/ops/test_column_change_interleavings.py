"""Old code and new code write a table in any order while its column changes, there and back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.apps import apps
from django.db import Error, IntegrityError, connections, models, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ops.column_changes import position
from ops.column_changes.backfill import build_checks, build_operation
from ops.column_changes.gates import GateClosed, find_missing
from ops.column_changes.obstructions import NoWayBack
from ops.column_changes.position import record_step
from ops.column_changes.steps import MIGRATION_STEPS, Step
from ops.engine import locks, loop
from ops.engine.loop import RunExecutor
from ops.models import ColumnChangeEvent, ColumnWriter, Run
from ops.operations import registry
from ops.runs import lifecycle
from ops.sqlstates import sqlstate
from ops.states import State
from tests.ops.changing import APP
from tests.ops.conftest import RegisterOperation
from tests.ops.dual_writing import LEFT_OUT, Change, Refused
from tests.ops.running import RecordingMonitor, create_run, execute_sql
from tests.ops.test_dual_write import CHANGES as CONVERSIONS
from tests.ops.written_table import NEW, OLD, Row, Swap, WrittenTable

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.django_db(transaction=True)]

LOCK_NOT_AVAILABLE = "55P03"
SECOND = "second session"
KEYS = range(1, 7)
STEPS_WITH_GATES = {Step.VERIFY: Step.CONSTRAIN, Step.SWITCH: Step.RETIRE, Step.CONSTRAIN: Step.RETIRE}


def refuse_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise Refused("the column has another type")
    return value


CHANGES: dict[str, tuple[Change, Swap | None]] = {
    **{name: (change, None) for name, change in CONVERSIONS.items()},
    "wider, swapped": (CONVERSIONS["wider, with a default"], Swap()),
    "text to integer, swapped": (CONVERSIONS["text to integer"], Swap(int)),
    "integer to bigint, swapped": (
        replace(CONVERSIONS["integer to bigint"], old=models.IntegerField()),
        Swap(),
    ),
    "boolean to smallint, swapped": (CONVERSIONS["boolean to smallint"], Swap(refuse_boolean)),
}
FEW = [
    "wider, with a default",
    "text to integer",
    "mapped",
    "mapped, kept, with a default",
]


class ColumnInUse(RuleBasedStateMachine):
    """``rows`` is what must be in the table; ``uncommitted`` what the second session has changed in it."""

    change: Change
    swap: Swap | None
    declare: RegisterOperation

    @initialize()
    def create(self) -> None:
        self.has_begun, self.uncommitted = False, dict[int, Row | None]()
        self.is_checked = True
        drop_everything()
        self.table = WrittenTable(self.change, self.swap)
        self.rows: dict[int, Row] = {}
        self.stale: list[tuple[str, Any]] = []
        self.run: Run | None = None
        apps.app_configs[APP] = self.table.models["both"]._meta.apps.get_app_config(APP)
        self.operation = self.declare(build_operation(self.table.declared))
        for key, value in zip(KEYS, self.change.old_values, strict=False):
            self.write("default", "old", "insert", {key: {OLD: value}})

    # The writes

    @rule(data=st.data(), keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True))
    def play(self, data: Any, keys: list[int]) -> None:
        generation = data.draw(st.sampled_from(self.list_generations()), label="generation")
        kind = data.draw(st.sampled_from([*WRITES]), label="kind")
        names = [name for name in (OLD, NEW) if self.has_field(generation, name)]
        chosen = data.draw(st.sets(st.sampled_from([*names, "note"]), min_size=1), label="columns")
        values = {
            key: {name: data.draw(self.values(generation, name), label=name) for name in [*names, "note"]}
            for key in keys
        }
        if kind in ("insert", "upsert", "ignore"):
            given = {key: dict(each) for key, each in values.items()}
            for each in given.values():
                for name in names:
                    if name not in chosen and self.field(generation, name).has_db_default():
                        each[name] = LEFT_OUT
        elif kind == "save":
            given = values
        else:
            given = {key: {n: v for n, v in each.items() if n in chosen} for key, each in values.items()}
        self.write(data.draw(st.sampled_from(["default", SECOND])), generation, kind, given, tuple(chosen))

    @rule(generation=st.sampled_from(["old", "both", "new"]), key=st.sampled_from(KEYS))
    def load(self, generation: str, key: int) -> None:
        """Keep an object in memory, which is saved later."""
        with suppress(Error), transaction.atomic():
            self.stale += [(generation, each) for each in self.model(generation).objects.filter(pk=key)]

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def save_stale(self, data: Any) -> None:
        generation, item = self.stale.pop(data.draw(st.integers(0, len(self.stale) - 1)))
        name = data.draw(st.sampled_from([n for n in (OLD, NEW) if self.has_field(generation, n)]))
        if self.swap and generation == "new" and not self.table.is_retired:
            return
        setattr(item, name, data.draw(self.values(generation, name)))
        given = {n: getattr(item, n) for n in (OLD, NEW, "note") if self.has_field(generation, n)}
        self.write("default", generation, "save", {item.pk: given}, objects=[item])

    @rule(commit=st.booleans())
    def begin_or_end(self, commit: bool) -> None:
        """Open a transaction of the second session, or end it."""
        if self.has_begun:
            self.end(commit)
            return
        connections[SECOND].set_autocommit(False)
        self.has_begun = True

    def end(self, commit: bool) -> None:
        if not self.has_begun:
            return
        connections[SECOND].commit() if commit else connections[SECOND].rollback()
        connections[SECOND].set_autocommit(True)
        if commit:
            self.rows = self.seen_by(SECOND)
        self.has_begun, self.uncommitted = False, {}
        self.check()

    def write(
        self,
        alias: str,
        generation: str,
        kind: str,
        given: dict[int, dict[str, Any]],
        columns: tuple[str, ...] = (),
        objects: list[Any] | None = None,
    ) -> None:
        """Execute the write in the session, and compare what it has done."""
        self.is_checked = False
        model, before = self.model(generation), self.seen_by(alias)
        predict, execute = WRITES[kind]
        try:
            expected: dict[int, Row] | None = predict(self.table, before, given, columns)
        except Refused:
            expected = None
        try:
            with transaction.atomic(using=alias):
                execute(model.objects.using(alias), given, columns, objects)
        except Error as exc:
            if sqlstate(exc) == LOCK_NOT_AVAILABLE and self.has_begun:
                expected = None
            if expected is not None:
                raise
        else:
            assert expected is not None, f"{kind} by {generation} code was to be refused: {given}"
            self.remember(alias, before, expected)
        self.check()

    def remember(self, alias: str, before: dict[int, Row], after: dict[int, Row]) -> None:
        if alias == "default" or not self.has_begun:
            changed = {k: after.get(k) for k in {*before, *after} if before.get(k) != after.get(k)}
            rows = {**self.rows, **changed}
            self.rows = {key: row for key, row in rows.items() if row is not None}
        else:
            keys = {*self.rows, *after}
            self.uncommitted = {k: after.get(k) for k in keys if self.rows.get(k) != after.get(k)}

    def seen_by(self, alias: str) -> dict[int, Row]:
        rows = {**self.rows, **(self.uncommitted if alias == SECOND else {})}
        return {key: row for key, row in rows.items() if row is not None}

    def check(self) -> None:
        """Nothing is in the table but what was written last."""
        assert self.table.read() == self.rows
        if self.has_begun and self.uncommitted:
            assert self.table.read(SECOND) == self.seen_by(SECOND)
        self.is_checked = True

    def list_generations(self) -> list[str]:
        """Return the code that writes at this step. Swapped, the new one's type waits for the name."""
        if self.table.is_retired:
            return ["new", "old"] if self.swap else ["new", "new", "old", "both"]
        news = ["new"] if self.table.steps and not self.swap else []
        return ["old", *(["both", "both"] if self.table.steps else []), *news]

    def model(self, generation: str) -> Any:
        return self.table.models[generation]

    def field(self, generation: str, name: str) -> Any:
        return self.model(generation)._meta.get_field(name)

    def has_field(self, generation: str, name: str) -> bool:
        return any(field.name == name for field in self.model(generation)._meta.get_fields())

    def values(self, generation: str, name: str) -> Any:
        if name == "note":
            return st.sampled_from(["", "x", "y"])
        is_new = name == NEW or (self.swap and generation == "new")
        return st.sampled_from([None, *(self.change.new_values if is_new else self.change.old_values)])

    # The steps

    @rule(times=st.integers(1, 4))
    def advance(self, times: int) -> None:
        for _ in range(times):
            self.forward()

    def forward(self) -> None:
        if self.run:
            self.work()
            return
        step = next((each for each in self.list_steps() if each not in self.table.steps), None)
        if step is None:
            return
        self.is_checked = False
        self.take(step)
        self.check()

    def list_steps(self) -> list[Step]:
        return [each for each in Step if not (self.swap and each == Step.SWITCH)]

    def take(self, step: Step) -> None:
        name = self.table.declared.name
        if step in MIGRATION_STEPS:
            with self.unless_locked():
                self.table.migrate(step)
        elif step == Step.BACKFILL:
            self.run = create_run(self.operation, batch_size=2)
            lifecycle.start(self.run)
            self.worker = RunExecutor(self.run, RecordingMonitor(), Event())
        elif step == Step.SWITCH or not self.count_differing():
            record_step(name, step, "tester")
            self.table.steps.append(step)
        if step == Step.EXPAND and self.table.step == step:
            assert all(row.new is None for row in self.table.read().values())
        if step == self.table.step == Step.DROP:
            self.rows = {key: row._replace(old=None) for key, row in self.rows.items()}

    @contextmanager
    def unless_locked(self) -> Iterator[None]:
        """A step that cannot be taken changes nothing."""
        before, events = self.table.step, ColumnChangeEvent.objects.count()
        try:
            yield
        except Error as exc:
            # What was written to NULL since verify is found by NOT NULL.
            is_empty = isinstance(exc, IntegrityError) and any(row.new is None for row in self.rows.values())
            if not is_empty and not (sqlstate(exc) == LOCK_NOT_AVAILABLE and self.has_begun):
                raise
        except GateClosed:
            assert find_missing(self.table.declared.name, STEPS_WITH_GATES[before])
        except NoWayBack:
            assert any(row.old is None for row in self.rows.values())
        if self.table.step == before:
            assert ColumnChangeEvent.objects.count() == events
        assert position.current_step(self.table.declared.name) == self.table.step

    def count_differing(self) -> int:
        """Count the rows that verify finds, which are those that do not agree."""
        found = sum(check.queryset.count() for check in build_checks(self.table.declared))
        assert found == sum(not self.is_verified(row) for row in self.rows.values())
        return found

    def is_verified(self, row: Row) -> bool:
        if row.new is None:
            return self.change.old.null and row.old is None
        return self.table.agrees(row)

    def work(self) -> None:
        """Execute a batch of the backfill: it fills what is empty, and changes nothing else."""
        assert self.run
        self.worker.run_once()
        self.filled()
        if self.run.state == State.RUNNING:
            return
        if self.run.state == State.SUCCEEDED:
            record_step(self.table.declared.name, Step.BACKFILL, "tester", run=self.run)
            self.table.steps.append(Step.BACKFILL)
        else:
            assert self.has_begun or any(not self.is_verified(row) for row in self.rows.values())
        self.run = None

    def filled(self) -> None:
        after = self.table.read()
        assert after.keys() == self.rows.keys()
        for key, row in self.rows.items():
            new = None if row.old is None else self.change.to_new(row.old)
            assert after[key] == row or (row.new is None and after[key] == row._replace(new=new))
        self.rows = after

    @rule()
    def back(self) -> None:
        if self.table.step in (None, Step.DROP) or self.run:
            return
        step = self.table.steps[-1]
        name = self.table.declared.name
        if step in MIGRATION_STEPS:
            with self.unless_locked():
                self.table.table.unapply()
                self.table.steps.pop()
        else:
            if step == Step.BACKFILL:
                self.revert()
            record_step(name, step, "tester", is_back=True)
            self.table.steps.pop()
        if not self.table.steps:
            self.rows = {key: row._replace(new=None) for key, row in self.rows.items()}
        self.check()

    def revert(self) -> None:
        """The revert empties what the backfill filled, and changes nothing else."""
        event = position.standing_events(self.table.declared.name)[Step.BACKFILL]
        revert = create_run(registry.get_operation("revert"), params={"run": event.run_id}, batch_size=2)
        lifecycle.start(revert)
        worker = RunExecutor(revert, RecordingMonitor(), Event())
        while revert.state == State.RUNNING:
            worker.run_once()
        after = self.table.read()
        assert after.keys() == self.rows.keys()
        assert all(after[key] in (row, row._replace(new=None)) for key, row in self.rows.items())
        self.rows = after

    def teardown(self) -> None:
        """Go to the end of the change, as a person would who mends the rows that verify finds."""
        if not hasattr(self, "table") or not self.is_checked:
            return
        self.end(True)
        for _ in range(200):
            if self.table.step == Step.DROP:
                break
            if self.table.steps and not self.table.is_retired:
                self.mend()
            if self.table.step == Step.VERIFY and find_missing(self.table.declared.name, Step.CONSTRAIN):
                self.back()
            self.forward()
        assert self.table.step == Step.DROP, self.table.steps
        assert execute_sql("SELECT proname FROM pg_proc WHERE proname LIKE 'dual_write_shop%'") == []

    def mend(self) -> None:
        """Give each row that verify would find an old value, and its new one."""
        for key, row in [*self.rows.items()]:
            if row.new is None and self.table.step == Step.EXPAND and self.is_mapped(row):
                continue  # the backfill does it
            for value in self.change.old_values[:2]:
                if not self.is_verified(self.rows[key]):
                    given = {key: {OLD: value, NEW: None}}
                    self.write("default", "both", "update", given, (OLD, NEW))

    def is_mapped(self, row: Row) -> bool:
        return row.old is not None and self.change.to_new(row.old) is not None


# The kinds of writes: what is in the table after each, and the write.


def predict_insert(table: WrittenTable, rows: Any, given: Any, columns: Any) -> dict[int, Row]:
    inserted = {key: table.after_insert(values) for key, values in given.items()}
    if given.keys() & rows.keys():
        raise Refused("the key is there")
    return {**rows, **inserted}


def predict_ignore(table: WrittenTable, rows: Any, given: Any, columns: Any) -> dict[int, Row]:
    inserted = {key: table.after_insert(values) for key, values in given.items()}
    return {**inserted, **rows}


def predict_upsert(table: WrittenTable, rows: Any, given: Any, columns: Any) -> dict[int, Row]:
    return {**rows} | {
        key: table.after_conflict(rows[key], values, columns) if key in rows else table.after_insert(values)
        for key, values in given.items()
    }


def predict_update(table: WrittenTable, rows: Any, given: Any, columns: Any) -> dict[int, Row]:
    for values in given.values():
        table._by_role(values)  # columns that are not there are refused also where no row is
    return {**rows} | {
        key: table.after_update(rows[key], values) for key, values in given.items() if key in rows
    }


def predict_update_of_same(table: WrittenTable, rows: Any, given: Any, columns: Any) -> dict[int, Row]:
    return predict_update(table, rows, dict.fromkeys(given, next(iter(given.values()))), columns)


def predict_update_of_loaded(table: WrittenTable, rows: Any, given: Any, columns: Any) -> dict[int, Row]:
    return predict_update(table, rows, {key: given[key] for key in given if key in rows}, columns)


def predict_save(table: WrittenTable, rows: Any, given: Any, columns: Any) -> dict[int, Row]:
    return {**rows} | {
        key: table.after_update(rows[key], values) if key in rows else table.after_insert(values)
        for key, values in given.items()
    }


def predict_delete(table: WrittenTable, rows: Any, given: Any, columns: Any) -> dict[int, Row]:
    return {key: row for key, row in rows.items() if key not in given}


def build_objects(rows: Any, given: Any) -> list[Any]:
    return [
        rows.model(pk=key, **{n: v for n, v in values.items() if v is not LEFT_OUT})
        for key, values in given.items()
    ]


def insert(rows: Any, given: Any, columns: Any, objects: Any) -> None:
    rows.bulk_create(build_objects(rows, given))


def ignore(rows: Any, given: Any, columns: Any, objects: Any) -> None:
    rows.bulk_create(build_objects(rows, given), ignore_conflicts=True)


def upsert(rows: Any, given: Any, columns: Any, objects: Any) -> None:
    rows.bulk_create(
        build_objects(rows, given), update_conflicts=True, unique_fields=["id"], update_fields=columns
    )


def update(rows: Any, given: Any, columns: Any, objects: Any) -> None:
    rows.filter(pk__in=[*given]).update(**next(iter(given.values())))


def bulk_update(rows: Any, given: Any, columns: Any, objects: Any) -> None:
    rows.bulk_update(build_objects(rows, given), columns)


def save(rows: Any, given: Any, columns: Any, objects: Any) -> None:
    for item in objects or build_objects(rows, given):
        item._state.adding = False
        item.save(using=rows.db)


def save_columns(rows: Any, given: Any, columns: Any, objects: Any) -> None:
    for item in rows.model.objects.using(rows.db).only("pk").filter(pk__in=[*given]):
        for name, value in given[item.pk].items():
            setattr(item, name, value)
        item.save(update_fields=columns)


def delete(rows: Any, given: Any, columns: Any, objects: Any) -> None:
    rows.filter(pk__in=[*given])._raw_delete(rows.db)


WRITES: dict[str, tuple[Callable[..., dict[int, Row]], Callable[..., None]]] = {
    "insert": (predict_insert, insert),
    "upsert": (predict_upsert, upsert),
    "ignore": (predict_ignore, ignore),
    "update": (predict_update_of_same, update),
    "bulk_update": (predict_update, bulk_update),
    "save": (predict_save, save),
    "save some": (predict_update_of_loaded, save_columns),
    "delete": (predict_delete, delete),
}


def drop_everything() -> None:
    connections[SECOND].rollback() if not connections[SECOND].get_autocommit() else None
    connections[SECOND].set_autocommit(True)
    execute_sql("DROP TABLE IF EXISTS shop_item CASCADE")
    for (name,) in execute_sql("SELECT proname FROM pg_proc WHERE proname LIKE 'dual_write_shop_value%'"):
        execute_sql(f"DROP FUNCTION {name} CASCADE")
    ColumnChangeEvent.objects.all().delete()
    ColumnWriter.objects.all().delete()


@pytest.fixture
def machine(declare: RegisterOperation, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[ColumnInUse]]:
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", timedelta(milliseconds=10))
    monkeypatch.setattr(loop, "SWEEP_DELAY", timedelta())
    connections[SECOND] = connections["default"].copy(SECOND)
    try:
        for alias in ("default", SECOND):
            with connections[alias].cursor() as cursor:
                cursor.execute("SET lock_timeout = '20ms'")
        yield type("ColumnInUse", (ColumnInUse,), {"declare": staticmethod(declare)})
        drop_everything()
    finally:
        connections[SECOND].close()
        del connections[SECOND]
        connections["default"].close()
        apps.app_configs.pop(APP, None)


@pytest.mark.parametrize("name", CHANGES)
def test_whoever_writes_at_whatever_step_nothing_is_lost(
    machine: Any, name: str, request: pytest.FixtureRequest
) -> None:
    large = request.config.getoption("--chaos", default=False)
    if not large and name not in FEW:
        pytest.skip("one of the changes that `make chaos` tries")
    machine.change, machine.swap = CHANGES[name]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100 if large else 4,
            derandomize=not large,
            stateful_step_count=60 if large else 40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
