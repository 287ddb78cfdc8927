"""One network a file, written to be read beside its paper."""
