"""How a network learns: augmentation, optimizer, averaged weights, resuming; and the commands for it."""
