"""A question's name and parameters come in; rows of the graph go out."""
