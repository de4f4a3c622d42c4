"""The workers: RQ's, with a graceful stop, and the reaper that restores lost jobs."""
