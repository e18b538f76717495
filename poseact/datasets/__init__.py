"""What models learn from: FLIC, folders of people, action poses, rendered people, augmentation."""
