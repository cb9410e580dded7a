"""What follows `monopolylogue`: one file per subcommand, its options and its help.

What takes long to import, such as LangGraph, is imported inside: --help and a mistyped option come without.
"""
