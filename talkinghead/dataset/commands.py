"""Commands that prepare data to train on."""

from talkinghead.cli.tools import new_app
from talkinghead.dataset.extract_motion import motion
from talkinghead.dataset.faces import faces
from talkinghead.dataset.mouths import mouths
from talkinghead.dataset.perception import perception
from talkinghead.dataset.phonemes import phonemes
from talkinghead.dataset.prepare import clips
from talkinghead.dataset.stills import stills

app = new_app("Prepare data to train on; docs/data_format.md describes the files.")
for _command in (clips, stills, faces, mouths, motion, phonemes, perception):
    app.command()(_command)
