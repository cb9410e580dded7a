"""What a command does between reading its options and showing what came of it."""
