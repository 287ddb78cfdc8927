"""What `docker/verify` is made of: build an image without an engine, look into it, run it, ask it."""
