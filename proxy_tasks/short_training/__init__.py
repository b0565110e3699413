"""The training of a trial: a network trained from its spec for a few epochs, and scored, whatever its head."""
