"""The start page's panels, and the page of the queue."""
