"""What follows `monopolylogue`: one file per subcommand, its options and its help.

What takes long to import (LangGraph, a second) is imported inside: --help and a mistyped option come without it.
"""
