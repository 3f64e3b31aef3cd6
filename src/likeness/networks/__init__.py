"""The embedded networks in ONNX: pictures in, named tuples of arrays out."""
