"""The record of a run: its journal, its trials, and which options make it what it is."""
