"""Recordings and labels: the corpus of sources, mixtures made from them, CHiME-Home."""
