"""The locks that `migrate --plan` shows are those that PostgreSQL takes."""

import re
from collections.abc import Iterator

import pytest

from ops.migrate.lock_modes import LockMode, find_locks
from tests.ops.running import execute_sql, player

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = ("t", "other", "seen")
LOCKS_SQL = """
SELECT relname, mode FROM pg_locks JOIN pg_class ON relation = pg_class.oid
WHERE pid = pg_backend_pid() AND relname = ANY(%s)
"""


@pytest.fixture
def tables() -> Iterator[None]:
    execute_sql(
        "CREATE TABLE other (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(5));"
        "CREATE INDEX i ON t (a); ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID;"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();"
        "CREATE MATERIALIZED VIEW seen AS SELECT 1 AS x"
    )
    yield
    execute_sql("DROP TABLE t, other; DROP FUNCTION f; DROP MATERIALIZED VIEW seen")


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE t ADD COLUMN d int",
        "ALTER TABLE t ADD COLUMN d int REFERENCES other",
        "ALTER TABLE t DROP COLUMN b",
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT 3, ALTER a SET STATISTICS 50",
        "ALTER TABLE t ALTER COLUMN a SET STATISTICS 50",
        "ALTER TABLE t ALTER COLUMN b TYPE varchar(9)",
        "ALTER TABLE t RENAME COLUMN b TO d",
        "ALTER TABLE t SET (fillfactor = 50)",
        "ALTER TABLE t RESET (fillfactor)",
        "ALTER TABLE t ADD CONSTRAINT d CHECK (a > 0) NOT VALID",
        "ALTER TABLE t ADD CONSTRAINT d FOREIGN KEY (a) REFERENCES other NOT VALID",
        "ALTER TABLE t VALIDATE CONSTRAINT c",
        "ALTER TABLE t DROP CONSTRAINT c",
        "ALTER TABLE t DISABLE TRIGGER g",
        "ALTER TABLE ONLY t ALTER COLUMN a SET NOT NULL",
        "CREATE INDEX d ON t (b)",
        "DROP INDEX i",
        "CREATE TRIGGER h BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "DROP TRIGGER IF EXISTS g ON t; CREATE TRIGGER g BEFORE UPDATE ON t EXECUTE FUNCTION f()",
        "COMMENT ON COLUMN t.a IS 'x'",
        "COMMENT ON TABLE t IS 'x'",
        "CREATE POLICY p ON t",
        "CREATE TABLE new (id int REFERENCES other)",
        "TRUNCATE t",
        "UPDATE t SET a = 1",
        "INSERT INTO t VALUES (1)",
        "LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE",
        "LOCK t",
        "LOCK TABLE other, t IN SHARE MODE",
        "CLUSTER t USING i",
        "REINDEX TABLE t",
        "ANALYZE t",
        "REFRESH MATERIALIZED VIEW seen",
    ],
)
def test_a_statement_takes_the_locks_of_the_plan(tables: None, sql: str) -> None:
    with player() as session:
        session.execute(sql)  # type: ignore[call-overload]
        taken: dict[str, LockMode] = {}
        for name, mode in session.execute(LOCKS_SQL, [list(TABLES)]).fetchall():
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", mode.removesuffix("Lock")).upper()
            taken[name] = max(LockMode[words], taken.get(name, LockMode.ACCESS_SHARE))
    found = {"t" if name == "i" else name: mode for name, mode in find_locks(sql).items()}
    assert found == {name: mode for name, mode in taken.items() if mode >= LockMode.ROW_EXCLUSIVE}


def test_what_is_concurrent_or_elsewhere_takes_a_weak_lock_or_none() -> None:
    weak = LockMode.SHARE_UPDATE_EXCLUSIVE
    assert find_locks("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY a.t (b)") == {"a.t": weak}
    assert find_locks('DROP INDEX CONCURRENTLY IF EXISTS "i"') == {'"i"': weak}
    assert find_locks("REINDEX (VERBOSE) INDEX CONCURRENTLY i") == {"i": weak}
    assert find_locks("ALTER TABLE t DETACH PARTITION p CONCURRENTLY") == {"t": weak}
    assert find_locks("VACUUM (ANALYZE) t") == {"t": weak}
    assert find_locks("VACUUM (FULL) t") == {"t": LockMode.ACCESS_EXCLUSIVE}
    assert find_locks("REFRESH MATERIALIZED VIEW CONCURRENTLY v") == {"v": LockMode.EXCLUSIVE}
    assert find_locks("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ DROP TABLE t; $$") == {}
    assert find_locks("SELECT 'ALTER TABLE t ADD a int'") == {}
