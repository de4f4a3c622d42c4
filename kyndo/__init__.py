"""The project: settings, urls, and the servers that development runs on."""

__version__ = "0.1.0"
