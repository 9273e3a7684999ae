"""A web server: videos as jobs, and live avatars. `app.create_app` is the place to start."""
