"""Whole archives: every recording of a tree, a list or a bucket through the engine, into Parquet.

list -> partitions -> analyse (threads here, or Ray Data on a cluster) -> saved states -> tables

What was analysed is known by the hash of its content and the version of the model, so a run that was
killed goes on where it was, and the tables come out the same, byte for byte.
"""
