"""Train LivePortrait: see docs/training_liveportrait.md."""

from liveportrait.training.__main__ import main

if __name__ == "__main__":
    main()
