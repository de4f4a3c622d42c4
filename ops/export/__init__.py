"""Tables out of one snapshot into a folder of files. Which tables is said by whoever calls."""
