"""From a command line to typed values."""
