"""Timing: how long a network takes in torch, or as an exported file in another program; results are kept."""
