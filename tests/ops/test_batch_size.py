"""The size of a batch, adapted to given durations."""

from datetime import timedelta
from time import sleep

import pytest
from django.db import connection
from django.db.models import F

from ops.engine.batch_size import INITIAL_ROWS, MAX_KEYS, MAX_ROWS, MIN_ROWS, TARGET_DURATION, BatchSize
from tests.ops.conftest import RegisterOperation
from tests.ops.running import RecordingMonitor, create_things, execute_operation, make_operation
from tests.trials.models import Thing

QUICK, RIGHT, SLOW = TARGET_DURATION / 10, TARGET_DURATION, TARGET_DURATION * 10


def adapt_to_full_batch(size: BatchSize, duration: timedelta) -> None:
    size.adapt(size.rows, duration)


def test_it_begins_small() -> None:
    assert BatchSize().rows == INITIAL_ROWS == 50


def test_quick_batches_grow_by_doubling_up_to_the_maximum() -> None:
    size = BatchSize()
    adapt_to_full_batch(size, QUICK)
    assert size.rows == 2 * INITIAL_ROWS
    for _ in range(20):
        adapt_to_full_batch(size, QUICK)
    assert size.rows == MAX_ROWS


def test_slow_batches_shrink_by_halves_down_to_the_minimum() -> None:
    size = BatchSize(normal_rows=1000)
    adapt_to_full_batch(size, SLOW)
    assert size.rows == 500
    for _ in range(20):
        adapt_to_full_batch(size, SLOW)
    assert size.rows == MIN_ROWS


def test_a_batch_of_the_target_duration_keeps_the_size() -> None:
    size = BatchSize(normal_rows=400)
    adapt_to_full_batch(size, RIGHT)
    assert size.rows == 400


def test_a_batch_50_percent_too_long_shrinks_by_a_third() -> None:
    size = BatchSize(normal_rows=300)
    adapt_to_full_batch(size, TARGET_DURATION * 1.5)
    assert size.rows == 200


def test_a_duration_of_zero_is_no_division_by_zero() -> None:
    size = BatchSize()
    adapt_to_full_batch(size, timedelta())
    assert size.rows == 2 * INITIAL_ROWS


def test_a_fixed_size_stays_whatever_the_duration() -> None:
    size = BatchSize(fixed_rows=7)
    for duration in (QUICK, SLOW, RIGHT):
        adapt_to_full_batch(size, duration)
        assert size.rows == 7


def test_max_rows_bounds_a_fixed_size_and_growth() -> None:
    assert BatchSize(fixed_rows=100, max_rows=25).rows == 25
    size = BatchSize(max_rows=60)
    adapt_to_full_batch(size, QUICK)
    assert size.rows == 60


def test_if_candidates_are_few_the_keys_grow_and_not_the_rows() -> None:
    size = BatchSize()
    for _ in range(30):
        size.adapt(1, QUICK)
    assert (size.rows, size.keys) == (INITIAL_ROWS, MAX_KEYS)


def test_a_slow_batch_of_few_candidates_halves_the_keys() -> None:
    size = BatchSize(keys=100_000)
    size.adapt(0, SLOW)
    assert (size.rows, size.keys) == (INITIAL_ROWS, 50_000)


def test_the_keys_are_never_fewer_than_the_rows() -> None:
    size = BatchSize(normal_rows=100)
    for _ in range(20):
        size.adapt(3, SLOW)
    assert size.keys == 100


def test_the_first_batch_has_as_many_keys_as_rows() -> None:
    assert BatchSize(fixed_rows=7).keys == 7
    assert BatchSize().is_bounded_by_keys


def test_a_span_of_nearly_all_candidates_counts_as_full() -> None:
    size = BatchSize(normal_rows=100)
    size.adapt(90, QUICK)
    assert (size.rows, size.keys) == (200, 200)


def test_full_batches_halve_a_span_longer_than_they_need() -> None:
    size = BatchSize(fixed_rows=100, keys=350)
    spans = []
    for _ in range(3):
        spans.append((size.keys, size.is_bounded_by_keys))
        adapt_to_full_batch(size, QUICK)
    assert spans == [(350, False), (175, False), (100, True)]


def test_during_a_bisection_the_keys_are_more_than_the_rows() -> None:
    size = BatchSize(normal_rows=100)
    size.bisect(size.rows)
    assert not size.is_bounded_by_keys


def test_a_failed_batch_is_halved_down_to_one_row() -> None:
    size, sizes = BatchSize(normal_rows=100), []
    while size.bisect(size.rows):
        sizes.append(size.rows)
    assert sizes == [50, 25, 12, 6, 3, 1]


def test_after_a_bisection_the_normal_size_is_back() -> None:
    size = BatchSize(normal_rows=100)
    while size.bisect(size.rows):
        pass
    assert size.rows == 100


def test_halves_that_succeed_narrow_the_bisection() -> None:
    size = BatchSize(normal_rows=16)
    size.bisect(size.rows)
    assert size.rows == 8
    adapt_to_full_batch(size, RIGHT)  # the fault is in the other eight
    assert size.rows == 4
    adapt_to_full_batch(size, RIGHT)
    assert size.rows == 2


def test_a_bisection_ends_where_no_row_is_left() -> None:
    size = BatchSize(normal_rows=16)
    size.bisect(size.rows)
    size.adapt(0, RIGHT)
    assert size.rows == 16


def test_durations_are_ignored_during_a_bisection() -> None:
    size = BatchSize(normal_rows=16)
    size.bisect(size.rows)
    for _ in range(20):
        adapt_to_full_batch(size, SLOW)
    assert size.normal_rows in (16, MIN_ROWS)
    assert size.rows >= MIN_ROWS


def test_a_batch_of_one_row_is_not_bisected() -> None:
    size = BatchSize(fixed_rows=1)
    assert not size.bisect(size.rows)
    assert size.rows == 1


@pytest.mark.django_db(transaction=True)
def test_a_slow_commit_makes_no_batch_smaller(
    monkeypatch: pytest.MonkeyPatch, declare: RegisterOperation
) -> None:
    create_things(300)
    commit, monitor = connection._commit, RecordingMonitor()

    def slow() -> None:
        sleep(SLOW.total_seconds())
        commit()

    monkeypatch.setattr(connection, "_commit", slow)
    fill = make_operation(lambda: Thing.objects.filter(note=None), {"note": F("name")})
    execute_operation(declare(fill), monitor)
    assert monitor.sizes[-1] > INITIAL_ROWS
