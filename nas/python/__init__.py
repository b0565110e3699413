"""Searches and runs as Python and notebooks use them: `from nas import Run`."""
