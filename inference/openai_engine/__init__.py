"""The engine that asks a model on an OpenAI-compatible server."""
