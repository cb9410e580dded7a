"""Scene records become data sets, and a recipe trains the model on them."""
