"""Classifiers of images: their files, and what they say of pictures."""
