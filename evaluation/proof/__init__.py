"""The proof's own questions, goals, samples and page of results."""
