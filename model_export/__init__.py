"""The training half: data, networks, evaluation and export. Never imports fastapi."""
