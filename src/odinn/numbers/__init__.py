"""What may stand where a model has a number."""
