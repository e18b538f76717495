"""Measures of pose and action models, and the tables they print."""
