"""Loops on Ray Train that fit the models and write their bundles."""
