"""Runs: how they are cut, driven and recorded."""
