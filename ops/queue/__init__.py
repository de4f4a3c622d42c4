"""Jobs on the queue. Progress is stored in PostgreSQL; Redis only wakes workers."""
