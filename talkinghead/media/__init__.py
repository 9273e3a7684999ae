"""Pictures, sound and video, read and written."""
