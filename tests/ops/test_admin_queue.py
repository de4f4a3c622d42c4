"""The page of the queue: jobs, workers and failures in words; retry and delete, with their audit rows."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from redis import Redis
from rq import SimpleWorker

from ops.admin.dashboard.queue import explain_job_error
from ops.models import AuditLog, Run
from ops.queue.enqueue import enqueue_missing_jobs
from ops.queue.liveness import connect_queue
from ops.states import State
from tests.admin_pages import page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client, redis_server: "Redis") -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def fail_job(number: int = 7) -> str:
    """Return the id of a job for the run that has failed in a worker."""
    queue = connect_queue()
    job = queue.enqueue("os.nothing_of_this_name", job_id=f"run-{number}-abc", description=f"run {number}")
    SimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="CRITICAL")
    assert job.id in queue.failed_job_registry
    return job.id


def create_run(state: State) -> Run:
    values = {"model": "cards.card", "columns": ["rarity"], "version": "1", "as_of": timezone.now()}
    return Run.objects.create(
        pk=7, operation="bulk_promote", performed_by="bob", total=1, state=state, **values
    )


def test_a_failed_job_is_shown_with_its_error_and_its_run(staff: Client) -> None:
    create_run(State.FAILED)
    fail_job()
    page = staff.get("/admin/queue/")
    text = page_text(page)
    assert (
        '<a class="ops-link" href="/admin/ops/run/7/change/">Bulk promote, run 7</a>' in page.content.decode()
    )
    assert "nothing_of_this_name" in text
    assert "a retry would do nothing. Its page offers what can be done." in text


def test_waiting_jobs_are_listed_and_a_missing_worker_is_told(staff: Client) -> None:
    enqueue_missing_jobs("run", 7, 2)
    text = page_text(staff.get("/admin/queue/"))
    assert "No worker answers, so nothing that waits begins." in text
    assert text.count("run 7") == 2
    assert "No job has failed in the last day." in text


def test_an_open_page_reads_its_lists_again(staff: Client) -> None:
    assert 'data-url="/admin/queue/live/"' in staff.get("/admin/queue/").content.decode()
    job_id = fail_job()
    part = staff.get("/admin/queue/live/").content.decode()
    assert part.startswith('<div class="ops-stack" data-active="yes">')
    assert f'id="error-{job_id}"' in part
    assert "csrfmiddlewaretoken" not in part


@pytest.mark.parametrize(("verb", "state"), [("retry", "queued"), ("delete", None)])
def test_each_action_on_a_job_writes_an_audit_row(staff: Client, verb: str, state: str | None) -> None:
    job_id = fail_job()
    page = staff.post(f"/admin/queue/{job_id}/{verb}/", follow=True)
    assert "was deleted" in page_text(page) or "waits for a worker again" in page_text(page)
    queue = connect_queue()
    assert job_id not in queue.failed_job_registry
    assert queue.get_job_ids() == ([job_id] if verb == "retry" else [])
    row = AuditLog.objects.get()
    assert (row.action, row.performed_by, row.object_id) == (f"{verb}_job", "ada", job_id)
    assert row.changes == {"state": {"old": "failed", "new": state}}
    assert f"{verb} job" in page_text(staff.get("/admin/ops/auditlog/"))


def test_an_action_on_a_job_that_is_gone_changes_nothing(staff: Client) -> None:
    assert staff.post("/admin/queue/%00/retry/").status_code == 404
    page = staff.post("/admin/queue/run-7-gone/retry/", follow=True)
    assert "is not among the failed ones" in page_text(page)
    assert not AuditLog.objects.exists()


def test_a_stopped_redis_is_told_in_words(staff: Client, settings: Settings) -> None:
    settings.RQ_QUEUES = {"default": {"URL": "redis://:hidden@127.0.0.1:9/0"}}
    for page in (staff.get("/admin/queue/"), staff.post("/admin/queue/run-7-a/delete/", follow=True)):
        assert "Redis, which holds the queue, does not answer." in page_text(page)
        assert "127.0.0.1" not in page_text(page)
    assert not AuditLog.objects.exists()


def test_viewing_the_queue_does_not_permit_to_change_it(client: Client, redis_server: "Redis") -> None:
    bob = User.objects.create_user("bob", is_staff=True)
    client.force_login(bob)
    assert client.get("/admin/queue/").status_code == 403
    bob.user_permissions.set(Permission.objects.filter(codename="view_queue"))
    job_id = fail_job()
    page = client.get("/admin/queue/")
    assert page.status_code == 200
    assert "/retry/" not in page.content.decode()
    assert client.post(f"/admin/queue/{job_id}/retry/").status_code == 403


def test_an_action_on_a_job_needs_the_csrf_token(redis_server: "Redis") -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("ada"))
    assert client.post(f"/admin/queue/{fail_job()}/delete/").status_code == 403
    assert not AuditLog.objects.exists()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            "Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); ",
            "The worker's process was killed (signal 9). The machine may have run out of memory.",
        ),
        ("Traceback\n  File x\nops.exceptions.NonTerminating: It never ends", "It never ends"),
        ("", "RQ has kept no reason."),
    ],
)
def test_the_reason_of_a_failed_job_is_a_sentence(error: str, reason: str) -> None:
    assert explain_job_error(error) == reason
