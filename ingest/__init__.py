"""A drop comes in; validated, normalised, tokenised batches of the event log go out."""
