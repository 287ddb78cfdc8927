"""The unit in which variations are told."""

import math

NEPER = math.log(10) / 20
"""One decibel as a difference of natural logarithms of magnitude."""
