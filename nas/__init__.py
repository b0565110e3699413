"""The search itself: controller, space and proxy task brought together, on record, on one machine or many."""
