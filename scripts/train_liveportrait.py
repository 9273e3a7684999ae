"""Train LivePortrait: see docs/training_liveportrait.md."""

from liveportrait.process import settle_process
from liveportrait.training.__main__ import main

if __name__ == "__main__":
    settle_process(training=True)
    main()
