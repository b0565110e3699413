"""What a person sees of a command in a terminal."""
