"""What a reviewer looks at: the band of who did what and when, contact sheets, skeletons."""
