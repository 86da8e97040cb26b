"""Clusters, scores and labels come in; figures with intervals go out."""
