"""The serving half: audio in, tags and event timelines out. Never imports torch."""
