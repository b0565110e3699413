"""Checks of the source text that no linter offers."""
