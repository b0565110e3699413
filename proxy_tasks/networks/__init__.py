"""From a spec and a scale to a torch module, and what that module costs."""
