"""The page at `/`: static modules that talk to the same API as everybody else."""
