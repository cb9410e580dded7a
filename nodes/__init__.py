"""One file per graph node: a factory that takes the model and returns an async function."""
