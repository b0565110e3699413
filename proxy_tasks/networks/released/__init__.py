"""Released weights: checkpoints of TensorFlow, read without it, and where their variables go in our networks."""
