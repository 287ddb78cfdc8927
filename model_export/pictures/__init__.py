"""Spectrograms with what was found beside the truth."""
