"""The size of a batch, fed with durations that nobody had to wait for."""

from datetime import timedelta
from time import sleep

import pytest
from django.db import connection
from django.db.models import F

from ops.engine.batch_size import INITIAL_ROWS, MAX_KEYS, MAX_ROWS, MIN_ROWS, TARGET_DURATION, BatchSize
from tests.ops.conftest import RegisterOperation
from tests.ops.running import RecordingMonitor, create_things, execute_operation, make_operation
from tests.trials.models import Thing

pytestmark = pytest.mark.engine

QUICK, RIGHT, SLOW = TARGET_DURATION / 10, TARGET_DURATION, TARGET_DURATION * 10


def full(size: BatchSize, duration: timedelta) -> None:
    size.adapt(size.rows, duration)


def test_it_begins_small() -> None:
    assert BatchSize().rows == INITIAL_ROWS == 50


def test_quick_batches_grow_by_doubling_up_to_the_ceiling() -> None:
    size = BatchSize()
    full(size, QUICK)
    assert size.rows == 2 * INITIAL_ROWS
    for _ in range(20):
        full(size, QUICK)
    assert size.rows == MAX_ROWS


def test_slow_batches_shrink_by_halves_down_to_the_floor() -> None:
    size = BatchSize(normal_rows=1000)
    full(size, SLOW)
    assert size.rows == 500
    for _ in range(20):
        full(size, SLOW)
    assert size.rows == MIN_ROWS


def test_a_batch_that_took_its_time_keeps_the_size() -> None:
    size = BatchSize(normal_rows=400)
    full(size, RIGHT)
    assert size.rows == 400


def test_a_batch_that_took_half_as_long_again_shrinks_by_a_third() -> None:
    size = BatchSize(normal_rows=300)
    full(size, TARGET_DURATION * 1.5)
    assert size.rows == 200


def test_a_duration_of_nothing_is_no_division_by_zero() -> None:
    size = BatchSize()
    full(size, timedelta())
    assert size.rows == 2 * INITIAL_ROWS


def test_a_pinned_size_stays_whatever_the_time() -> None:
    size = BatchSize(fixed_rows=7)
    for duration in (QUICK, SLOW, RIGHT):
        full(size, duration)
        assert size.rows == 7


def test_a_ceiling_of_a_run_bounds_a_pinned_size_and_growth() -> None:
    assert BatchSize(fixed_rows=100, max_rows=25).rows == 25
    size = BatchSize(max_rows=60)
    full(size, QUICK)
    assert size.rows == 60


def test_where_candidates_are_few_the_span_of_keys_grows_and_not_the_rows() -> None:
    size = BatchSize()
    for _ in range(30):
        size.adapt(1, QUICK)
    assert (size.rows, size.keys) == (INITIAL_ROWS, MAX_KEYS)


def test_a_long_look_at_few_candidates_shortens_the_span() -> None:
    size = BatchSize(keys=100_000)
    size.adapt(0, SLOW)
    assert (size.rows, size.keys) == (INITIAL_ROWS, 50_000)


def test_the_span_is_never_shorter_than_the_rows() -> None:
    size = BatchSize(normal_rows=100)
    for _ in range(20):
        size.adapt(3, SLOW)
    assert size.keys == 100


def test_the_first_span_is_as_long_as_the_rows_pinned_or_not() -> None:
    assert BatchSize(fixed_rows=7).keys == 7
    assert BatchSize().is_bounded_by_keys


def test_a_span_of_nearly_nothing_but_candidates_counts_as_full() -> None:
    size = BatchSize(normal_rows=100)
    size.adapt(90, QUICK)
    assert (size.rows, size.keys) == (200, 200)


def test_full_batches_shorten_a_span_that_is_longer_than_they_need() -> None:
    size = BatchSize(fixed_rows=100, keys=350)
    spans = []
    for _ in range(3):
        spans.append((size.keys, size.is_bounded_by_keys))
        full(size, QUICK)
    assert spans == [(350, False), (175, False), (100, True)]


def test_where_a_row_at_fault_is_sought_the_span_is_longer_than_the_rows() -> None:
    size = BatchSize(normal_rows=100)
    size.bisect(size.rows)
    assert not size.is_bounded_by_keys


def test_a_failed_batch_is_halved_down_to_one_row() -> None:
    size, sizes = BatchSize(normal_rows=100), []
    while size.bisect(size.rows):
        sizes.append(size.rows)
    assert sizes == [50, 25, 12, 6, 3, 1]


def test_after_the_row_at_fault_the_size_of_before_is_back() -> None:
    size = BatchSize(normal_rows=100)
    while size.bisect(size.rows):
        pass
    assert size.rows == 100


def test_halves_that_pass_narrow_the_search() -> None:
    size = BatchSize(normal_rows=16)
    size.bisect(size.rows)
    assert size.rows == 8
    full(size, RIGHT)  # the fault is in the other eight
    assert size.rows == 4
    full(size, RIGHT)
    assert size.rows == 2


def test_a_search_ends_where_no_suspect_is_left() -> None:
    size = BatchSize(normal_rows=16)
    size.bisect(size.rows)
    size.adapt(0, RIGHT)
    assert size.rows == 16


def test_time_teaches_nothing_while_a_row_at_fault_is_sought() -> None:
    size = BatchSize(normal_rows=16)
    size.bisect(size.rows)
    for _ in range(20):
        full(size, SLOW)
    assert size.normal_rows in (16, MIN_ROWS)
    assert size.rows >= MIN_ROWS


def test_a_pinned_batch_of_one_is_at_fault_itself() -> None:
    size = BatchSize(fixed_rows=1)
    assert not size.bisect(size.rows)
    assert size.rows == 1


@pytest.mark.django_db(transaction=True)
def test_a_commit_that_is_slow_makes_no_batch_smaller(
    monkeypatch: pytest.MonkeyPatch, declare: RegisterOperation
) -> None:
    create_things(300)
    commit, watched = connection._commit, RecordingMonitor()

    def slow() -> None:
        sleep(SLOW.total_seconds())
        commit()

    monkeypatch.setattr(connection, "_commit", slow)
    fill = make_operation(lambda: Thing.objects.filter(note=None), {"note": F("name")})
    execute_operation(declare(fill), watched)
    assert watched.sizes[-1] > INITIAL_ROWS
