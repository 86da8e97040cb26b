"""The event log comes in; the graph in its store, evidence in bits and clusters go out."""
