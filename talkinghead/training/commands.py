"""Commands that train models; docs/training.md shows a whole run."""

from talkinghead.cli.tools import new_app
from talkinghead.training import motion, mouths, renderer, speech
from talkinghead.training.face_model import face_model
from talkinghead.training.official_map import official_map

app = new_app("Train models on prepared data. A run that is started again continues where it stopped.")
app.command()(face_model)
app.command()(official_map)
app.add_typer(renderer.app, name="renderer")
app.add_typer(mouths.app, name="mouths")
app.add_typer(speech.app, name="speech")
app.add_typer(motion.app, name="motion")
