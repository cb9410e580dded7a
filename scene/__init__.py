"""The nouns of a scene. Imports nothing of ours."""
