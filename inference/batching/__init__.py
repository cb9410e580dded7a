"""What engines share that drive a model themselves: requests as rows, and the thread that serves them."""
