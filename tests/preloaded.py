"""What test processes need: the process that they are forked from imports this module."""

import batch_workers  # noqa: F401

from liveportrait.imports import quiet_imports

with quiet_imports():
    from transformers.models.wav2vec2 import modeling_wav2vec2  # noqa: F401
