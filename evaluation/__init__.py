"""Comparing systems on the same questions: sets, methods, metrics, judge, report."""
