"""Intervals are parsed in each IntervalStyle."""

from datetime import timedelta

import pytest
from django.db import DataError, connection
from hypothesis import given
from hypothesis import strategies as st

from ops.sql.intervals import parse_interval
from tests.ops.running import execute_sql

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

STYLES = ["postgres", "postgres_verbose", "iso_8601", "sql_standard"]
PARTS = st.tuples(
    st.integers(-4_000, 4_000), st.integers(-40_000, 40_000), st.integers(-(10**14), 10**14)
)  # months, days, microseconds


@given(PARTS)
def test_an_interval_is_parsed_alike_in_each_style(parts: tuple[int, int, int]) -> None:
    months, days, microseconds = parts
    parsed = []
    for style in STYLES:
        execute_sql("SELECT set_config('IntervalStyle', %s, false)", style)
        query = "SELECT (make_interval(months => %s, days => %s) + %s * interval '1 us')::text"
        [(text,)] = execute_sql(query, months, days, microseconds)
        parsed.append(parse_interval(text))
    connection.close()
    years, rest = divmod(abs(months), 12)
    of_months = (365 * years + 30 * rest) * (1 if months > 0 else -1)
    assert parsed == [timedelta(days=days + of_months, microseconds=microseconds)] * 4


def test_an_interval_out_of_range_raises_data_error() -> None:
    with pytest.raises(DataError, match="can't parse interval '9999999 years'"):
        execute_sql("SELECT interval '9999999 years'")
