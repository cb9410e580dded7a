"""What an evaluation came to, as tables and plots."""
