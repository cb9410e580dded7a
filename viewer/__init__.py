"""Scenes and exports as pages that need nothing but a browser."""
