"""The samples of a run: how many there are, what is thinned, and the plots that they make."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ops.admin.runs.run_plot import build_spans, merge_spans
from ops.health.hold import hold_run, release_expired_hold
from ops.models import Run, Sample
from ops.operations import registry
from ops.runs import lifecycle
from ops.sql import samples
from ops.sql.samples import MAX_SAMPLES, record_sample
from tests.admin_pages import page_text
from tests.ops.running import create_run, create_things, execute_run

pytestmark = pytest.mark.django_db(transaction=True)
START = datetime(2026, 11, 25, tzinfo=UTC)


def annotate() -> Run:
    create_things(4)
    return create_run(registry.get_operation("trials_annotate"))


def make_sample(second: float, changed: int, batches: int = 1, wal: int = 0) -> Sample:
    busy = timedelta(milliseconds=40 * batches)
    at = START + timedelta(seconds=second)
    return Sample(taken_at=at, changed=changed, batches=batches, busy=busy, wal=wal)


def test_a_run_is_sampled_when_a_process_takes_it_up_and_leaves_it() -> None:
    run = annotate()
    execute_run(run)
    assert list(run.samples.values_list("changed", flat=True)) == [0, 4]


def test_a_second_sample_within_a_second_is_not_recorded() -> None:
    run = annotate()
    for _ in range(3):
        record_sample(run)
    assert run.samples.count() == 1
    record_sample(run, is_last=True)
    assert run.samples.count() == 2


def test_the_longer_a_run_works_the_rarer_are_its_samples() -> None:
    run = annotate()
    record_sample(run)
    record_sample(run, is_last=True)
    hour, newest = timedelta(hours=1), run.samples.latest("pk")
    run.samples.exclude(pk=newest.pk).update(taken_at=newest.taken_at - hour)
    run.samples.filter(pk=newest.pk).update(taken_at=newest.taken_at - timedelta(seconds=20))
    record_sample(run)  # after an hour one of 36 seconds
    assert run.samples.count() == 2
    run.samples.filter(pk=newest.pk).update(taken_at=newest.taken_at - timedelta(seconds=60))
    record_sample(run)
    assert run.samples.count() == 3


def test_every_other_sample_goes_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MAX_SAMPLES", 6)
    run = annotate()
    numbers = []
    for changed in range(6):
        run.lanes.update(changed=changed)
        record_sample(run, is_last=True)
        numbers.append(run.samples.count())
    assert numbers == [1, 2, 3, 4, 5, 3]
    assert list(run.samples.values_list("changed", flat=True)) == [0, 2, 4]
    assert MAX_SAMPLES == 200


def test_a_pause_and_a_clock_that_was_set_back_leave_no_span() -> None:
    paused = [make_sample(0, 0), make_sample(2, 80, 3, 500), make_sample(4000, 80, 3, 900)]
    spans = build_spans([*paused, make_sample(3000, 80, 3), make_sample(3001, 120, 4, 400)])
    assert [(span.start, span.end, span.rows) for span in spans] == [(0, 2, 80), (2, 3, 40)]
    assert (spans[0].rate, spans[0].batch_milliseconds, spans[0].wal_rate) == (40, 40, 250)


def test_the_moment_after_the_last_batch_is_not_drawn_as_a_fall() -> None:
    work = [make_sample(0, 0), make_sample(1, 40, 1)]
    assert [span.end for span in build_spans([*work, make_sample(1.3, 40, 1)])] == [1]
    assert [span.end for span in build_spans([*work, make_sample(5, 40, 1)])] == [1, 5], "a hold"


def test_neighbours_are_merged_for_the_table() -> None:
    spans = build_spans([make_sample(n, 10 * n, n + 1, n) for n in range(8)])
    assert [(span.start, span.end, span.rows) for span in merge_spans(spans, 3)] == [
        (0, 3, 30),
        (3, 6, 30),
        (6, 7, 10),
    ]


def test_the_page_has_the_plots_with_a_table_and_the_holds(client: Client) -> None:
    client.force_login(User.objects.create_superuser("ada"))
    run = annotate()
    lifecycle.start(run)
    hold_run(run, "locks: 3 sessions wait", timedelta(0))
    release_expired_hold(run)
    for sample in (make_sample(0, 0, 0), make_sample(2, 4)):
        sample.run = run
        sample.save()
    page = client.get(f"/admin/ops/run/{run.pk}/live/")
    content, text = page.content.decode(), page_text(page)
    assert content.count('role="img" aria-labelledby="plot-') == 3
    assert "Over 2.0 s of work: 2 rows/s on average, at most 2 rows/s." in text
    assert "2.0 s 2 rows/s 40 ms" in text
    assert "It waited 1 time, because the database was under strain" in text
    assert "for 0.0 s locks: 3 sessions wait" in text
    assert "Lanes: 1" in text
