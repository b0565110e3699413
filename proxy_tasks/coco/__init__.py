"""COCO-format data in, average precision out."""
