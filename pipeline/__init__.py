"""A workspace and a wish come in; the order of the stages and what is committed when stand here."""
