"""A scenario's name and a seed come in; a drop with its truth goes out."""
