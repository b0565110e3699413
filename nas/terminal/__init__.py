"""Terminal output: the console, tables, progress of long work, and the live view of a search."""
