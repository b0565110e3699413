"""Other people's programs that drive our searches."""
