"""From audio bytes to tags, events and curves: numpy and ONNX Runtime, nothing of HTTP."""
