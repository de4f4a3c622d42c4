"""What `migrate` makes of a statement, and which statements it refuses."""

import pytest
from django.db import connection

from ops.migrate import rules
from ops.migrate.catalog import Catalog
from ops.migrate.columns import split_column
from ops.migrate.rewrite import rewrite
from ops.migrate.sql_reader import split_top_level
from ops.migrate.steps import Place, Step, join_transactions
from tests.ops.running import execute_sql

pytestmark = pytest.mark.django_db

T = 'ALTER TABLE "t"'
NOTE = f'{T} ADD CONSTRAINT "t_note_not_null"'


def steps(sql: str) -> list[tuple[str, str]]:
    return [(str(step.place), step.sql) for step in rewrite(sql, Catalog(connection)).steps]


def refusal(sql: str) -> str | None:
    found = rewrite(sql, Catalog(connection)).refusal
    return found.rule if found and found.is_large else None


@pytest.fixture(autouse=True)
def _table() -> None:
    execute_sql(
        "CREATE TABLE t (id bigint PRIMARY KEY, name varchar(20) NOT NULL, note varchar(10),"
        " score int NOT NULL, updated_at timestamptz)"
    )


@pytest.fixture
def large_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a table with one page of rows count as large."""
    monkeypatch.setattr(rules, "LARGE_TABLE_BYTES", 8192)
    execute_sql("INSERT INTO t VALUES (1, 'a', 'b', 0, now()); CREATE TABLE small (name varchar(9))")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            'CREATE INDEX "i" ON "t" ("score")',
            [("none", 'CREATE INDEX CONCURRENTLY "i" ON "t" ("score")')],
        ),
        (
            "create unique index if not exists i on public.t (score)",
            [("none", "create unique index CONCURRENTLY if not exists i on public.t (score)")],
        ),
        ("DROP INDEX IF EXISTS t_pkey", [("none", "DROP INDEX CONCURRENTLY IF EXISTS t_pkey")]),
        (
            f'{T} ADD CONSTRAINT "c" CHECK ("score" > 0)',
            [
                ("shared", f'{T} ADD CONSTRAINT "c" CHECK ("score" > 0) NOT VALID'),
                ("own", f'{T} VALIDATE CONSTRAINT "c"'),
            ],
        ),
        (
            f'{T} ADD CONSTRAINT "f" FOREIGN KEY ("a") REFERENCES "o" (id)',
            [
                ("shared", f'{T} ADD CONSTRAINT "f" FOREIGN KEY ("a") REFERENCES "o" (id) NOT VALID'),
                ("own", f'{T} VALIDATE CONSTRAINT "f"'),
            ],
        ),
        (
            f'{T} ADD CONSTRAINT "u" UNIQUE NULLS NOT DISTINCT ("name", "note") DEFERRABLE',
            [
                ("none", 'CREATE UNIQUE INDEX CONCURRENTLY "u" ON "t" ("name", "note") NULLS NOT DISTINCT'),
                ("shared", f'{T} ADD CONSTRAINT "u" UNIQUE USING INDEX "u" DEFERRABLE'),
            ],
        ),
        (
            f'{T} ADD COLUMN "rank" integer DEFAULT 3 NOT NULL CHECK ("rank" >= 0)',
            [
                ("shared", f'{T} ADD COLUMN "rank" integer DEFAULT 3 NOT NULL'),
                ("shared", f'{T} ADD CONSTRAINT "t_rank_check" CHECK ("rank" >= 0) NOT VALID'),
                ("own", f'{T} VALIDATE CONSTRAINT "t_rank_check"'),
            ],
        ),
        (
            f'{T} ADD COLUMN "code" varchar(9) NULL UNIQUE',
            [
                ("shared", f'{T} ADD COLUMN "code" varchar(9) NULL'),
                ("none", 'CREATE UNIQUE INDEX CONCURRENTLY "t_code_key" ON "t" ("code")'),
                ("shared", f'{T} ADD CONSTRAINT "t_code_key" UNIQUE USING INDEX "t_code_key"'),
            ],
        ),
        (
            f'{T} ADD COLUMN "o_id" bigint DEFAULT 1 NOT NULL CONSTRAINT "fk" REFERENCES "o"("id")',
            [
                ("shared", f'{T} ADD COLUMN "o_id" bigint DEFAULT 1 NOT NULL'),
                ("shared", f'{T} ADD CONSTRAINT "fk" FOREIGN KEY ("o_id") REFERENCES "o"("id") NOT VALID'),
                ("own", f'{T} VALIDATE CONSTRAINT "fk"'),
            ],
        ),
        (
            f'{T} ADD COLUMN a int, ADD CONSTRAINT c CHECK (score > 0)',
            [
                ("shared", f"{T} ADD COLUMN a int"),
                ("shared", f"{T} ADD CONSTRAINT c CHECK (score > 0) NOT VALID"),
                ("own", f"{T} VALIDATE CONSTRAINT c"),
            ],
        ),
        (f"{T} VALIDATE CONSTRAINT c", [("own", f"{T} VALIDATE CONSTRAINT c")]),
        ("VACUUM t", [("none", "VACUUM t")]),
        ("REINDEX TABLE CONCURRENTLY t", [("none", "REINDEX TABLE CONCURRENTLY t")]),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_statement_becomes_its_safe_equivalent(sql: str, expected: list[tuple[str, str]]) -> None:
    assert steps(sql) == expected


def test_not_null_becomes_a_constraint_that_is_validated() -> None:
    found = steps(f'{T} ALTER COLUMN "note" SET NOT NULL')
    validation = ("own", f'{T} VALIDATE CONSTRAINT "t_note_not_null"')
    if Catalog(connection).has_not_null_constraints:
        assert found == [("shared", f'{NOTE} NOT NULL "note" NOT VALID'), validation]
    else:
        assert found == [
            ("shared", f'{NOTE} CHECK ("note" IS NOT NULL) NOT VALID'),
            validation,
            ("shared", f'{T} ALTER COLUMN "note" SET NOT NULL'),
            ("shared", f'{T} DROP CONSTRAINT "t_note_not_null"'),
        ]


@pytest.mark.parametrize(
    "sql",
    [
        f'{T} ADD COLUMN "a" integer DEFAULT 3 NOT NULL',
        f'{T} ADD COLUMN "o" bigint NULL CONSTRAINT "x" REFERENCES "y"("id"); SET CONSTRAINTS "x" IMMEDIATE',
        f'{T} ADD CONSTRAINT "c" CHECK ("score" > 0) NOT VALID',
        f'{T} ALTER COLUMN "name" SET NOT NULL',
        f'{T} ALTER COLUMN "score" SET DEFAULT 3, DROP COLUMN "note"',
        f'{T} ADD CONSTRAINT "u" UNIQUE USING INDEX "u"',
        "CREATE INDEX i ON not_there (score)",
        'ALTER TABLE not_there ALTER COLUMN "a" SET NOT NULL',
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$; DROP TRIGGER IF EXISTS t ON t;",
        "INSERT INTO t (name) VALUES ('a; b')",
    ],
)  # fmt: skip
def test_what_is_quick_is_executed_as_it_is_written(sql: str) -> None:
    assert steps(sql) == [("shared", sql)]


def test_a_table_of_the_same_run_needs_nothing() -> None:
    catalog = Catalog(connection)
    execute_sql("CREATE TABLE fresh (a int)")
    for sql in (
        "CREATE INDEX i ON fresh (a)",
        "ALTER TABLE fresh ALTER a SET NOT NULL",
        "UPDATE fresh SET a = 1",
    ):
        assert rewrite(sql, catalog).steps == (Step(sql),)  # fmt: skip


def test_the_name_of_a_constraint_is_free() -> None:
    execute_sql(f"{T} ADD CONSTRAINT t_note_not_null CHECK (score > -5)")
    assert "t_note_not_null1" in steps(f'{T} ALTER COLUMN "note" SET NOT NULL')[0][1]


@pytest.mark.usefixtures("large_table")
@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        (f'{T} ALTER COLUMN "score" TYPE bigint', "changing-column-type"),
        (f'{T} ALTER COLUMN "note" TYPE varchar(5)', "changing-column-type"),
        (f"{T} ALTER updated_at TYPE timestamptz(3)", "changing-column-type"),
        (f'{T} ADD COLUMN "u" uuid DEFAULT gen_random_uuid() NOT NULL', "adding-field-with-default"),
        (f'{T} ADD COLUMN "u" bigserial', "adding-field-with-default"),
        (f'{T} ADD COLUMN "g" int GENERATED ALWAYS AS (score + 1) STORED', "adding-generated-field"),
        (f'{T} ADD COLUMN "i" bigint GENERATED BY DEFAULT AS IDENTITY', "adding-generated-field"),
        (f"{T} ADD EXCLUDE USING btree (score WITH =)", "exclusion-constraint"),
        (f"{T} ADD CHECK (score > 0)", "constraint-missing-not-valid"),
        (f"{T} ADD UNIQUE (score)", "disallowed-unique-constraint"),
        (f"{T} ADD CONSTRAINT p PRIMARY KEY (note)", "adding-serial-primary-key-field"),
        (f"{T} SET UNLOGGED", "rewriting-table"),
        (f"{T} SET TABLESPACE pg_default", "rewriting-table"),
        ("CREATE INDEX ON t (score)", "require-concurrent-index-creation"),
        ("REINDEX TABLE t", "require-concurrent-reindex"),
        ("REINDEX (VERBOSE) INDEX t_pkey", "require-concurrent-reindex"),
        ("VACUUM FULL t", "rewriting-table"),
        ("VACUUM (FULL, ANALYZE) t", "rewriting-table"),
        ("CLUSTER t USING t_pkey", "rewriting-table"),
        ("UPDATE t SET score = 2", "change-of-many-rows"),
        ("/* all */ DELETE FROM ONLY t", "change-of-many-rows"),
        ("WITH x AS (SELECT 1) UPDATE t SET score = 2", "change-of-many-rows"),
        ("MERGE INTO t USING o ON true WHEN MATCHED THEN DELETE", "change-of-many-rows"),
    ],
)
def test_what_keeps_players_waiting_is_refused(sql: str, rule: str) -> None:
    assert refusal(sql) == rule


@pytest.mark.usefixtures("large_table")
@pytest.mark.parametrize(
    "sql",
    [
        f'{T} ALTER COLUMN "note" TYPE varchar(64)',
        f'{T} ALTER COLUMN "name" TYPE text',
        f"{T} ADD COLUMN seen timestamptz DEFAULT now() NOT NULL",
        f"{T} ADD COLUMN a int DEFAULT 5",
        f"{T} ADD COLUMN a int",
        "INSERT INTO t (name) SELECT 'UPDATE'",
        "UPDATE small SET name = 'small'",
        "VACUUM (ANALYZE) t",
    ],
)
def test_what_is_quick_on_a_large_table_is_not_refused(sql: str) -> None:
    assert refusal(sql) is None


@pytest.mark.usefixtures("large_table")
def test_widening_a_column_that_a_check_names_looks_at_every_row() -> None:
    execute_sql(f"{T} ADD CONSTRAINT note_known CHECK (note IN ('a', 'b'))")
    assert refusal(f'{T} ALTER COLUMN "note" TYPE varchar(64)') == "checking-changed-column"


@pytest.mark.usefixtures("large_table")
def test_an_index_that_would_be_built_again_is_refused() -> None:
    execute_sql("CREATE INDEX note_index ON t (note)")
    assert refusal(f'{T} ALTER COLUMN "note" TYPE varchar(64)') is None
    assert refusal(f'{T} ALTER COLUMN "note" TYPE varchar(64) COLLATE "C"') == "changing-column-type"


@pytest.mark.usefixtures("large_table")
def test_a_generated_column_that_is_computed_anew_is_refused() -> None:
    if connection.pg_version < 170000:  # type: ignore[attr-defined]
        pytest.skip("SET EXPRESSION came with PostgreSQL 17")
    execute_sql(f"{T} ADD COLUMN twice int GENERATED ALWAYS AS (score * 2) STORED")
    assert refusal(f"{T} ALTER COLUMN twice SET EXPRESSION AS (score * 3)") == "changing-column-type"


@pytest.mark.usefixtures("large_table")
def test_a_column_of_a_domain_that_is_checked_is_refused() -> None:
    execute_sql("CREATE DOMAIN known AS text CHECK (VALUE IS NOT NULL OR true)")
    assert refusal(f"{T} ADD COLUMN d known") == "adding-field-with-default"


@pytest.mark.usefixtures("large_table")
def test_an_update_of_nulls_is_left_out_where_there_are_none() -> None:
    """Django writes one before each SET NOT NULL, while it locks the table for SET DEFAULT."""
    catalog = Catalog(connection)
    fill = 'UPDATE "t" SET "note" = \'x\' WHERE "note" IS NULL; SET CONSTRAINTS ALL IMMEDIATE'
    assert rewrite(fill, catalog).refusal
    catalog.is_looking = True
    assert rewrite(fill, catalog).steps == (Step("SET CONSTRAINTS ALL IMMEDIATE"),)
    catalog.is_looking = False
    assert rewrite(fill, catalog).refusal is None  # as it was found before any lock
    execute_sql("UPDATE t SET note = NULL")
    catalog = Catalog(connection)
    catalog.is_looking = True
    assert rewrite(fill, catalog).refusal


def test_looking_at_a_change_leaves_nothing_behind(large_table: None) -> None:
    before = execute_sql("SELECT relfilenode, xmin FROM pg_class WHERE relname = 't'")
    assert refusal(f'{T} ALTER COLUMN "score" TYPE bigint')
    assert execute_sql("SELECT relfilenode, xmin FROM pg_class WHERE relname = 't'") == before
    assert execute_sql("SELECT to_regclass('ops_probe')") == [(None,)]


def test_a_transaction_in_raw_sql_is_one_step() -> None:
    words = ["BEGIN", "UPDATE a SET b = 1", "UPDATE a SET b = 2", "COMMIT"]
    none = [Step(word, Place.NONE) for word in words]
    assert join_transactions([Step("x"), *none]) == [
        Step("x"),
        Step("UPDATE a SET b = 1; UPDATE a SET b = 2"),
    ]
    assert join_transactions(none[:2]) == none[:2]


def test_the_parts_of_a_column_are_told_apart() -> None:
    parts = split_column("bigint NULL REFERENCES o (id) ON DELETE SET NULL NOT DEFERRABLE CHECK (a > 0)")
    assert (parts.definition, parts.references) == (
        "bigint NULL",
        "REFERENCES o (id) ON DELETE SET NULL NOT DEFERRABLE",
    )
    assert parts.checks == [("CHECK (a > 0)", "")]
    assert (
        split_column("text DEFAULT 'UNIQUE CHECK (' NOT NULL").definition
        == "text DEFAULT 'UNIQUE CHECK (' NOT NULL"
    )


def test_the_body_of_a_function_is_not_split() -> None:
    function = (
        "CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN a > 0 THEN 1 END; SELECT 2; END"
    )
    assert split_top_level(f"{function}; SELECT 3", ";") == [function, "SELECT 3"]
    assert steps(f"{function};") == [("shared", f"{function};")]


def test_an_index_of_a_partitioned_table_is_not_concurrent(monkeypatch: pytest.MonkeyPatch) -> None:
    execute_sql(
        "CREATE TABLE p (a int NOT NULL) PARTITION BY RANGE (a);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); INSERT INTO p VALUES (1)"
    )
    for sql in ("CREATE INDEX i ON p (a)", "ALTER TABLE p ADD CONSTRAINT u UNIQUE (a)"):
        assert steps(sql) == [("shared", sql)]
        assert refusal(sql) is None
    monkeypatch.setattr(rules, "LARGE_TABLE_BYTES", 8192)
    assert refusal("CREATE INDEX i ON p (a)") == "require-concurrent-index-creation"
    assert steps("CREATE INDEX i ON p1 (a)") == [("none", "CREATE INDEX CONCURRENTLY i ON p1 (a)")]
    assert steps("CREATE INDEX i ON ONLY p (a)") == [("shared", "CREATE INDEX i ON ONLY p (a)")]


def test_statements_are_split_outside_of_quotes() -> None:
    text = "SELECT ';' ; -- no; \n SELECT $a$ ; $$ ; $a$; SELECT \"x;\" /* ; */;"
    assert split_top_level(text, ";") == [
        "SELECT ';'",
        "-- no; \n SELECT $a$ ; $$ ; $a$",
        'SELECT "x;" /* ; */',
    ]
