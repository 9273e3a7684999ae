"""What moves a source: a video, a picture, a template, keyframes or a voice."""
