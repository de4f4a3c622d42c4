"""Statistics: expensive statements, sizes, sessions and their locks; queues, workers and active runs."""
