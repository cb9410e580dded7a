"""The `monopolylogue` command: one file per subcommand."""
