"""What a network hears: from a waveform to standardized spectral features, in the graph as in training."""
