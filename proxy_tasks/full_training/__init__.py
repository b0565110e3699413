"""Training in full: one architecture trained to weights that people use, by one process or by many."""
