"""What a model's name means, and how its files get to this machine."""
