"""Frames of the graph come in; a database that answers Cypher goes out. One protocol, two stores."""
