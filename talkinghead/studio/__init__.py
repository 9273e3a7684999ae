"""The studio: a page in the browser for every way to make a video. Start with `app.py`; each tab is one file.

Everything that makes or reads pictures is called through `import talkinghead`.
"""
