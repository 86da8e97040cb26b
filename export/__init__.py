"""A cluster comes in; files for other programs go out."""
