"""What is animated: a picture or a video with faces in it."""
