"""Scene records become rows on disk: chosen, filtered, formatted, split, described."""
