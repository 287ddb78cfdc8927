"""What an exported graph is worth, measured through the engine that serves it."""
