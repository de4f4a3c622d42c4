"""What a command said, compared whole: what differs from run to run is masked."""

import re
import subprocess

_MASKS = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME"),
    (r"[\d,]+ rows/s", "RATE rows/s"),
    (r"\b(?:\d+ h \d+ min|\d+ min \d+ s|\d+(?:\.\d)? s)\b", "DURATION"),
    (r"\b([Rr]un|runs show|runs watch|runs resume|runs retry|runs revert|runs cancel) \d+", r"\1 N"),
    (r"\b[\d,]+ batch(?:es)?(?= in| of|,)", "K batches"),
    (r"(?<=batches   )[\d,]+", "K"),
]


def mask_output(text: str) -> str:
    """Durations, rates, times, numbers of runs and of batches become words."""
    for pattern, word in _MASKS:
        text = re.sub(pattern, word, text)
    return text


def assert_output(
    done: "subprocess.CompletedProcess[str]", words: str, status: int = 0, errors: str = ""
) -> None:
    """Assert the whole of what a process said; ``words`` as masked, indented as the code is."""
    assert "Traceback" not in done.stderr
    assert mask_output(done.stderr).rstrip() == errors
    assert mask_output(done.stdout).rstrip() == _dedent_output(words)
    assert done.returncode == status


def _dedent_output(words: str) -> str:
    """By the margin of the closing quotes, so that an indented first line stays indented."""
    margin = re.search(r"\n( *)$", words)
    return re.sub(rf"(?m)^{margin[1] if margin else ''}", "", words).strip("\n").rstrip()
