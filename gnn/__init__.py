"""Clusters and account features come in; a score for every account goes out."""
