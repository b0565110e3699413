"""Instance segmentation: boxes with masks, their augmentation, training, detection and scoring."""
