"""`schema_drift`: compare the database with its applied migrations."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from ops.backups.errors import MaintenanceFailed
from ops.migration_status import read_migration_status
from ops.report.schema import as_lines
from ops.schema.drift import compare_snapshots, detect_drift
from ops.schema.introspection import SchemaObject, introspect_schema
from tests.ops.running import execute_sql

pytestmark = pytest.mark.django_db


NAME = connection.settings_dict["NAME"]


def run_command(status: int, *options: str) -> str:
    out = StringIO()
    if status:
        with pytest.raises(SystemExit) as exited:
            call_command("schema_drift", *options, stdout=out)
        assert exited.value.code == status
    else:
        call_command("schema_drift", *options, stdout=out)
    return out.getvalue()


def test_a_migrated_database_has_no_drift_and_no_scratch_is_left() -> None:
    assert run_command(0).endswith(" 0 to apply.\nThe schema matches the applied migrations.\n")
    assert execute_sql("SELECT 1 FROM pg_database WHERE starts_with(datname, %s)", f"{NAME}_drift_") == []


def test_every_change_by_hand_is_shown_with_both_definitions() -> None:
    execute_sql("CREATE TABLE spare (id int PRIMARY KEY)")
    execute_sql(
        "ALTER TABLE trials_thing ALTER name TYPE text, ALTER score SET DEFAULT 7, DROP COLUMN updated_at"
    )
    execute_sql("ALTER TABLE trials_thing DROP CONSTRAINT trials_thing_score_small, SET (fillfactor = 70)")
    execute_sql("CREATE INDEX by_hand ON trials_thing (note)")
    execute_sql("ALTER TABLE audit_logs DISABLE TRIGGER USER")
    execute_sql("CREATE FUNCTION by_hand() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    execute_sql("CREATE TYPE mood AS ENUM ('good', 'bad')")
    differences = json.loads(run_command(1, "--json"))["differences"]
    triggers = [each for each in differences if each["kind"] == "trigger"]
    assert len(triggers) >= 2
    assert all(each["found"] == f"{each['expected']} DISABLED" for each in triggers)
    assert [(d["kind"], d["name"], d["expected"], d["found"]) for d in differences if d not in triggers] == [
        ("column", "trials_thing.name", "character varying(20) not null", "text not null"),
        ("column", "trials_thing.score", "integer not null", "integer not null default 7"),
        ("column", "trials_thing.updated_at", "timestamp with time zone not null", None),
        ("constraint", "trials_thing.trials_thing_score_small", "CHECK ((score < 1000))", None),
        ("function", "by_hand()", None, next(d["found"] for d in differences if d["name"] == "by_hand()")),
        ("index", "by_hand", None, "CREATE INDEX by_hand ON public.trials_thing USING btree (note)"),
        ("table", "spare", None, ""),
        ("table", "trials_thing", "", "with (fillfactor=70)"),
        ("type", "mood", None, "good, bad"),
    ]


def test_an_unapplied_migration_is_no_drift_unless_it_was_done_by_hand() -> None:
    MigrationRecorder(connection).record_unapplied("cards", "0004_idx_cards_pack_rarity")
    text = run_command(1)
    assert ", 1 to apply.\n  to apply  cards.0004_idx_cards_pack_rarity\n1 difference from the" in text
    assert "unexpected: index idx_cards_pack_rarity\n  + CREATE INDEX" in text


def test_an_unknown_migration_is_named() -> None:
    MigrationRecorder(connection).record_applied("cards", "9999_of_tomorrow")
    assert "  unknown to this code  cards.9999_of_tomorrow" in as_lines(read_migration_status(), [])


def test_of_an_unexpected_table_only_the_table_is_reported() -> None:
    index = "CREATE INDEX i ON public.spare USING btree (a)"
    spare: dict[Any, str] = {SchemaObject("table", "spare"): "", SchemaObject("column", "spare.a"): "integer"}
    assert [d.summary for d in compare_snapshots({}, spare | {SchemaObject("index", "i"): index})] == [
        "unexpected: table spare"
    ]


# A statement of a migration, a change by hand, and the expected differences.
CHANGES = [
    (
        "",
        "ALTER TABLE t ALTER a DROP NOT NULL, ADD CHECK (a IS NOT NULL) NOT VALID",
        ["different: column t.a", "unexpected: constraint t.t_a_check"],
    ),
    ("", "ALTER TABLE t ALTER b SET DEFAULT 8", ["different: column t.b"]),
    ("", 'ALTER TABLE t ALTER c TYPE text COLLATE "C"', ["different: column t.c"]),
    ("", "ALTER TABLE t ALTER c SET STORAGE EXTERNAL", ["different: column t.c"]),
    ("", "ALTER TABLE t ALTER c SET STATISTICS 500", ["different: column t.c"]),
    ("", "ALTER TABLE t ALTER c SET (n_distinct = 5)", ["different: column t.c"]),
    ("", "COMMENT ON COLUMN t.c IS 'x'", ["different: column t.c"]),
    ("", "ALTER TABLE t ALTER id SET GENERATED ALWAYS", ["different: column t.id"]),
    ("", "ALTER TABLE t ALTER id SET INCREMENT BY 2", ["different: sequence t_id_seq"]),
    ("", "ALTER SEQUENCE t_id_seq MAXVALUE 99", ["different: sequence t_id_seq"]),
    ("", "ALTER SEQUENCE t_id_seq CACHE 20 CYCLE", ["different: sequence t_id_seq"]),
    ("CREATE SEQUENCE s", "ALTER SEQUENCE s OWNED BY t.b", ["different: sequence s"]),
    ("CREATE SEQUENCE s AS smallint", "DROP SEQUENCE s", ["missing: sequence s"]),
    ("", "SELECT setval('t_id_seq', 50)", []),
    ("", "ALTER TABLE t DROP e, ADD e int", ["different: column t.e"]),
    ("", "COMMENT ON TABLE t IS 'x'", ["different: table t"]),
    ("", "ALTER TABLE t ENABLE ROW LEVEL SECURITY", ["different: table t"]),
    (
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE t FORCE ROW LEVEL SECURITY",
        ["different: table t"],
    ),
    ("", "ALTER TABLE t SET (toast.autovacuum_enabled = off)", ["different: table t"]),
    ("", "ALTER TABLE t REPLICA IDENTITY FULL", ["different: table t"]),
    ("", "ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey", ["different: index t_pkey"]),
    ("", "ALTER TABLE t SET UNLOGGED", ["different: sequence t_id_seq", "different: table t"]),
    (
        "CREATE TABLE p (id int) PARTITION BY HASH (id)",
        "DROP TABLE p; CREATE TABLE p (id int)",
        ["different: table p"],
    ),
    (
        "CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE q PARTITION OF p FOR VALUES IN (1)",
        "ALTER TABLE p DETACH PARTITION q",
        ["different: table q"],
    ),
    (
        "CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE q PARTITION OF p FOR VALUES IN (1)",
        "ALTER TABLE p DETACH PARTITION q; ALTER TABLE p ATTACH PARTITION q FOR VALUES IN (2)",
        ["different: table q"],
    ),
    ("", "ALTER TABLE t CLUSTER ON t_pkey", ["different: index t_pkey"]),
    ("CREATE INDEX i ON t (b)", "DROP INDEX i; CREATE INDEX i ON t (b DESC)", ["different: index i"]),
    (
        "CREATE UNIQUE INDEX i ON t (b)",
        "DROP INDEX i; CREATE UNIQUE INDEX i ON t (b) NULLS NOT DISTINCT",
        ["different: index i"],
    ),
    (
        "ALTER TABLE t ADD CONSTRAINT u UNIQUE (b)",
        "ALTER TABLE t DROP CONSTRAINT u, ADD CONSTRAINT u UNIQUE (b) DEFERRABLE",
        ["different: constraint t.u"],
    ),
    (
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES t (id)",
        "ALTER TABLE t DROP CONSTRAINT f, ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES t (id) NOT VALID",
        ["different: constraint t.f"],
    ),
    (
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES t (id)",
        "ALTER TABLE t DISABLE TRIGGER ALL",
        ["different: constraint t.f"],
    ),
    (
        "CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()",
        "ALTER TABLE t ENABLE ALWAYS TRIGGER g",
        ["different: trigger t.g"],
    ),
    (
        "CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()",
        "ALTER TABLE t ENABLE REPLICA TRIGGER g",
        ["different: trigger t.g"],
    ),
    ("", "ALTER FUNCTION f() SECURITY DEFINER", ["different: function f()"]),
    ("", "ALTER FUNCTION f() SET search_path = ''", ["different: function f()"]),
    (
        "CREATE AGGREGATE g (int) (sfunc = int4pl, stype = int)",
        "DROP AGGREGATE g (int); CREATE AGGREGATE g (int) (sfunc = int4mi, stype = int)",
        ["different: aggregate g(integer)"],
    ),
    ("CREATE VIEW v AS SELECT id FROM t", "ALTER VIEW v SET (security_barrier)", ["different: view v"]),
    ("CREATE POLICY y ON t USING (true)", "ALTER POLICY y ON t USING (b > 0)", ["different: policy t.y"]),
    ("CREATE POLICY y ON t", "ALTER POLICY y ON t TO CURRENT_USER", ["different: policy t.y"]),
    ("", "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING", ["unexpected: rule t.r"]),
    ("CREATE DOMAIN m AS int", "ALTER DOMAIN m ADD CHECK (VALUE > 0)", ["different: type m"]),
    ("CREATE DOMAIN m AS int", "ALTER DOMAIN m SET NOT NULL", ["different: type m"]),
    ("CREATE TYPE m AS (a int)", "ALTER TYPE m ADD ATTRIBUTE b int", ["different: type m"]),
    ("CREATE TYPE m AS RANGE (subtype = int)", "DROP TYPE m", ["missing: type m"]),
    ("CREATE STATISTICS z ON b, c FROM t", "DROP STATISTICS z", ["missing: statistics z"]),
    (
        "CREATE COLLATION o (locale = 'C')",
        "DROP COLLATION o; CREATE COLLATION o (locale = 'POSIX')",
        ["different: collation o"],
    ),
]
# Since PostgreSQL 18.
CHANGES_18 = [
    (
        "",
        "ALTER TABLE t ALTER a DROP NOT NULL, ADD NOT NULL a NOT VALID",
        ["different: column t.a"],
    ),
    ("", "ALTER TABLE t DROP e, ADD e int GENERATED ALWAYS AS (b + 1) VIRTUAL", ["different: column t.e"]),
    (
        "ALTER TABLE t ADD CONSTRAINT k CHECK (b > 0)",
        "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k CHECK (b > 0) NOT ENFORCED",
        ["different: constraint t.k"],
    ),
]


@pytest.mark.engine
@pytest.mark.parametrize(("before", "change", "summaries"), [*CHANGES, *CHANGES_18])
def test_a_change_by_hand_is_reported(before: str, change: str, summaries: list[str]) -> None:
    if (before, change, summaries) in CHANGES_18 and connection.pg_version < 180000:
        pytest.skip("needs PostgreSQL 18")
    execute_sql(
        "CREATE TABLE t (id int PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, a int NOT NULL,"
        " b int DEFAULT 7, c text, e int GENERATED ALWAYS AS (b + 1) STORED);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    )
    execute_sql(before or "SELECT 1")
    expected = introspect_schema("default")
    execute_sql(change)
    assert [d.summary for d in compare_snapshots(expected, introspect_schema("default"))] == summaries


@pytest.mark.parametrize("schema", ["game", "The Game"])
def test_tables_may_be_in_any_schema_of_the_search_path(schema: str) -> None:
    execute_sql(
        f'CREATE SCHEMA "{schema}"; ALTER TABLE cards SET SCHEMA "{schema}"; CREATE TABLE public.spare ()'
    )
    execute_sql(f"""SET search_path = "{schema}", public""")  # the rollback takes it back
    assert detect_drift(read_migration_status()) == []
    execute_sql(f"""ALTER TABLE trials_thing ALTER score SET DEFAULT 7; CREATE TABLE "{schema}".other ()""")
    assert [difference.summary for difference in detect_drift(read_migration_status())] == [
        "different: column trials_thing.score",
        "unexpected: table other",
    ]


def test_indexes_and_sequences_of_unexpected_tables_are_not_reported() -> None:
    expected = introspect_schema("default")
    execute_sql('CREATE TABLE "Spare part" (id serial PRIMARY KEY, b int UNIQUE)')
    assert [d.summary for d in compare_snapshots(expected, introspect_schema("default"))] == [
        "unexpected: table Spare part"
    ]


def test_a_search_path_without_schemas_is_an_error() -> None:
    execute_sql("SET search_path = nowhere")
    with pytest.raises(MaintenanceFailed, match="The search_path of sessions is nowhere"):
        detect_drift(read_migration_status())
