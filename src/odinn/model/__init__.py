"""A model, bound to glaciers."""
