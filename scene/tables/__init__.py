"""Reading questions and training rows out of the files that hold them."""
