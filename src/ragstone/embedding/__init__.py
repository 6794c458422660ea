"""Texts to vectors: local ONNX models, model servers, a cache in front, and the background worker."""
