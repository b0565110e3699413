"""A proxy task that answers from recorded trainings."""
