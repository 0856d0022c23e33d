"""Masking: bytes, media type and compiled rules in; masked bytes and the list of masks out."""
