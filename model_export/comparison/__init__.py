"""Several configurations trained with one budget and several seeds, and put side by side."""
