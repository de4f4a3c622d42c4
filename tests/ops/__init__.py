import pytest

pytest.register_assert_rewrite("tests.ops.output", "tests.ops.running")
