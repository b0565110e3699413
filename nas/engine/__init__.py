"""The search itself: the loop, what it knows, promotes, limits and rewards, and how it handles failures."""
