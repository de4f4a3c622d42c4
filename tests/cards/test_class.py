"""The operation class."""

import pytest

from ops import testing

pytestmark = pytest.mark.django_db


def test_no_row_needs_the_change_after_a_run():
    # Create rows here: one that needs the change, and one that does not.
    run = testing.execute("class")
    assert (run.state, testing.failures(run)) == ("succeeded", {})
    assert testing.preview("class").total == 0
