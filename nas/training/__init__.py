"""What the command nas.train is made of: processes, the journal of a training, and what a person sees of it."""
