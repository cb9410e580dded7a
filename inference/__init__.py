"""One local model behind LangChain's chat interface: engines, batching, structured output."""
