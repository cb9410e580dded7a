"""The engine on OpenVINO GenAI, fast on a CPU."""
