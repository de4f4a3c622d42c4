"""Compare the complete output of a command, with the values masked that differ from run to run."""

import re
import subprocess

_MASKS = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME"),
    (r"[\d,]+ rows/s", "RATE rows/s"),
    (r"less than 0\.1 s|\b(?:\d+ h \d+ min|\d+ min \d+ s|\d+(?:\.\d)? s)\b", "DURATION"),
    (r"\b([Rr]un|runs show|runs watch|runs resume|runs retry|runs revert|runs cancel) \d+", r"\1 N"),
    (r"\b[\d,]+ batch(?:es)?(?= in| of|,)", "K batches"),
    (r"(?<=batches   )[\d,]+", "K"),
]


def mask_output(text: str) -> str:
    """Replace durations, rates, times, numbers of runs and of batches by words."""
    for pattern, word in _MASKS:
        text = re.sub(pattern, word, text)
    return text


def assert_output(
    process: "subprocess.CompletedProcess[str]", expected: str, status: int = 0, errors: str = ""
) -> None:
    """Assert the complete output and the exit status; ``expected`` is masked, and indented like the code."""
    assert "Traceback" not in process.stderr
    assert mask_output(process.stderr).rstrip() == errors
    assert mask_output(process.stdout).rstrip() == _dedent_output(expected)
    assert process.returncode == status


def _dedent_output(text: str) -> str:
    """Remove the indentation of the closing quotes, so that an indented first line stays indented."""
    margin = re.search(r"\n( *)$", text)
    return re.sub(rf"(?m)^{margin[1] if margin else ''}", "", text).strip("\n").rstrip()
