"""`make proof`: its stages, in which order, and going on where they stopped."""
