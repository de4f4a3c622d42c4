"""What machines ask over HTTP: is it well, what waits, what runs."""
