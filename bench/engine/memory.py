"""The memory of a process at its peak."""

from pathlib import Path


def read_peak_memory(process: int | str = "self") -> int:
    """Bytes. Not of getrusage, which counts what the process was before exec too."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
