"""Run by a test, in the folder of another project: execute commands of manage.py in processes that fork.

It reads a line of JSON for each, the words of the command and a file for its output, and writes the process's
id when it begins and the status when it has ended. This saves the start of Python for each of hundreds.
"""

import json
import os
import sys
from pathlib import Path

import django

from tests.zygote import import_libraries, run_program

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
import_libraries()


def execute(words: list[str], log: str) -> int:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    return run_program([str(Path.cwd() / "manage.py"), *words])


def main() -> None:
    for line in sys.stdin:
        words, log = json.loads(line)
        pid = os.fork()
        if not pid:
            os._exit(execute(words, log))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
