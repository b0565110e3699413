"""What happened in a run: its journal, its trials, and what makes a run what it is."""
