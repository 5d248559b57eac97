"""A trained model for others: a folder that loads without its workspace, a page that writes, an ONNX graph."""
