"""Options: from a command line to typed values."""
