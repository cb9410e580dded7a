"""What follows `monopolylogue`: one file per subcommand, its options and its help."""
