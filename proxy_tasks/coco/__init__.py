"""Data sets in COCO's format: annotations, caches of decoded images, the held-out split, and batches."""
