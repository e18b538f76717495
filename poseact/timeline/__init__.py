"""The tables a run writes: their schemas, writers, readers, and the rules that find segments."""
