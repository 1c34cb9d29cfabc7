"""The embedded glaciers: nine at the head of the Rakaia, New Zealand. See ``NOTICE`` beside
them.
"""
