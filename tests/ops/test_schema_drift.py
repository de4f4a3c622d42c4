"""`schema_drift`: the database against what its applied migrations make."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from ops.report.schema import as_lines
from ops.schema.catalog import Thing
from ops.schema.drift import compare
from ops.standing import standing
from tests.ops.running import sql

pytestmark = pytest.mark.django_db


NAME = connection.settings_dict["NAME"]


def told(status: int, *options: str) -> str:
    out = StringIO()
    if status:
        with pytest.raises(SystemExit) as left:
            call_command("schema_drift", *options, stdout=out)
        assert left.value.code == status
    else:
        call_command("schema_drift", *options, stdout=out)
    return out.getvalue()


def test_a_database_that_was_only_migrated_does_not_differ_and_no_scratch_is_left() -> None:
    assert told(0).endswith(" 0 to apply.\nThe schema is what the applied migrations make.\n")
    assert sql("SELECT 1 FROM pg_database WHERE starts_with(datname, %s)", f"{NAME}_drift_") == []


def test_everything_that_somebody_changed_by_hand_is_told_with_both_definitions() -> None:
    sql("CREATE TABLE spare (id int PRIMARY KEY)")
    sql("ALTER TABLE trials_thing ALTER name TYPE text, ALTER score SET DEFAULT 7, DROP COLUMN updated_at")
    sql("ALTER TABLE trials_thing DROP CONSTRAINT trials_thing_score_small, SET (fillfactor = 70)")
    sql("CREATE INDEX by_hand ON trials_thing (note)")
    sql("ALTER TABLE audit_logs DISABLE TRIGGER USER")
    sql("CREATE FUNCTION by_hand() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    sql("CREATE TYPE mood AS ENUM ('good', 'bad')")
    found = json.loads(told(1, "--json"))["differences"]
    triggers = [each for each in found if each["kind"] == "trigger"]
    assert len(triggers) >= 2
    assert all(each["found"] == f"{each['expected']} DISABLED" for each in triggers)
    assert [(d["kind"], d["name"], d["expected"], d["found"]) for d in found if d not in triggers] == [
        ("column", "trials_thing.name", "character varying(20) not null", "text not null"),
        ("column", "trials_thing.score", "integer not null", "integer not null default 7"),
        ("column", "trials_thing.updated_at", "timestamp with time zone not null", None),
        ("constraint", "trials_thing.trials_thing_score_small", "CHECK ((score < 1000))", None),
        ("function", "by_hand()", None, next(d["found"] for d in found if d["name"] == "by_hand()")),
        ("index", "by_hand", None, "CREATE INDEX by_hand ON public.trials_thing USING btree (note)"),
        ("table", "spare", None, ""),
        ("table", "trials_thing", "", "with (fillfactor=70)"),
        ("type", "mood", None, "good, bad"),
    ]


def test_a_migration_that_was_not_applied_is_no_drift_until_its_work_was_done_by_hand() -> None:
    MigrationRecorder(connection).record_unapplied("cards", "0004_idx_cards_pack_rarity")
    text = told(1)
    assert ", 1 to apply.\n  to apply  cards.0004_idx_cards_pack_rarity\n1 difference from what" in text
    assert "not of a migration: index idx_cards_pack_rarity\n  + CREATE INDEX" in text


def test_a_migration_that_this_code_does_not_have_is_named() -> None:
    MigrationRecorder(connection).record_applied("cards", "9999_of_tomorrow")
    assert "  unknown to this code  cards.9999_of_tomorrow" in as_lines(standing(), [])


def test_of_a_table_that_is_nobodys_only_the_table_is_told() -> None:
    index = "CREATE INDEX i ON public.spare USING btree (a)"
    spare: dict[Any, str] = {Thing("table", "spare"): "", Thing("column", "spare.a"): "integer"}
    assert [d.words for d in compare({}, spare | {Thing("index", "i"): index})] == [
        "not of a migration: table spare"
    ]
