"""Messages say "1 frame" and "2 frames"."""

import pytest

from talkinghead import OptionError
from talkinghead.server.options import ServerOptions
from talkinghead.wording import counted


def test_counts_have_the_right_noun():
    assert [counted(number, "frame") for number in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
    assert [counted(number, "hash", "hashes") for number in (1, 2)] == ["1 hash", "2 hashes"]


def test_a_token_of_one_letter():
    with pytest.raises(OptionError, match="the token has 1 character: give at least 16"):
        ServerOptions(token="t")
