"""Speed and memory, side by side, in one run: `make bench`, `make bench-full`."""
