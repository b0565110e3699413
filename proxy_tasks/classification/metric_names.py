"""The names of a classifier's figures; this needs no torch."""

METRIC_NAMES = ("top1", "top5")
"""Shares of the images whose class is the likeliest of all, and among the five likeliest."""
