"""Scenes behind the protocol of OpenAI's chat completions."""
