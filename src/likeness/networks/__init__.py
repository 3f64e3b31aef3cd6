"""The embedded networks in ONNX: pictures in, named arrays out."""
