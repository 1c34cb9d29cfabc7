"""Results as CF datasets and files."""
