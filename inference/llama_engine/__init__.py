"""A GGUF file on a CPU, computed by the C functions of ik_llama.cpp."""
