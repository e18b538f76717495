"""Torch modules, features, bundles, and the runtime that executes them. No Ray, no video."""
