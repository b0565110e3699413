"""Export: files that other programs read, written from what a search found."""
