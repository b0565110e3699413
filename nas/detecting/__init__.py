"""Pictures of a person's own: which ones are looked at, and the files that say what was found in them."""
