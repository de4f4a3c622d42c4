"""The start of a run in the admin: by whom, and whether a second person has to approve it first.

Every page that starts a run calls `start_run`: a test of the house looks for others.
"""

from __future__ import annotations

from dataclasses import replace

from django.http import HttpRequest

from ops.admin.starting.forms import get_comment
from ops.models import Origin, Run
from ops.queue.enqueue import enqueue_run
from ops.runs.creation import RunRequest, create_run
from ops.states import State


def start_run(request: HttpRequest, run_request: RunRequest) -> Run:
    """Create the run of a POST, and put it on the queue unless it waits for a second person.

    Raises what `create_run` raises.
    """
    run = create_run(
        replace(
            run_request,
            performed_by=request.user.get_username(),
            origin=Origin.ADMIN,
            comment=get_comment(request),
        )
    )
    if run.state != State.AWAITING_APPROVAL:
        enqueue_run(run)  # The page of the run says if no worker takes it up.
    return run
