"""Whether a model is fit to rehearse: what the scenes of labelled questions say about who plays them."""
