"""From people in single frames to persons through time."""
