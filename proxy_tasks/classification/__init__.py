"""Classification: folders of images by class, crops, the loss, top-1 and top-5, a classifier's file and its answers."""
