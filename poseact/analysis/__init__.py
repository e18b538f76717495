"""Finding actions in recorded video: one Ray Data job from files to tables."""
