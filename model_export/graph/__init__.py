"""The one ONNX file between training and service: written, held against PyTorch, and read back."""
