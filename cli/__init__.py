"""Words on a command line come in; one call is made, its result is printed."""
