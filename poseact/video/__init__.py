"""Video files to frames with presentation times, and back: find, probe, chunk, decode, encode."""
