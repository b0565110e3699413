"""The search itself: what is asked, trained, promoted, rewarded and learned."""
