"""Assessment of a proxy task: how well its rewards tell architectures apart, and rank them."""
