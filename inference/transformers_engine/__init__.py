"""The engine on transformers: one scheduler over one loaded model, on a CPU or GPU."""
