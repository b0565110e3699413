"""The parts of the command nas.train: processes, the journal of a training, and what a person sees of it."""
