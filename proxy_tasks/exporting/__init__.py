"""Networks as files that other programs run: ONNX, PyTorch programs, and one file of source code."""
