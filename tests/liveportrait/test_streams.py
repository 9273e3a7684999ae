"""Two iterators over one stream: both have all items, and none is kept for longer than needed."""

import weakref
from itertools import islice

from liveportrait.streams import tee


class Frame:
    """Something that can be referred to weakly."""


def test_both_have_all_items_in_whatever_turns():
    ahead, behind = tee(range(5))
    assert [next(ahead), next(ahead), next(behind), *ahead] == [0, 1, 0, 2, 3, 4]
    assert list(behind) == [1, 2, 3, 4] and list(ahead) == []


def test_an_item_is_let_go_when_both_have_had_it():
    made = []

    def frames():
        while True:
            frame = Frame()
            made.append(weakref.ref(frame))
            yield frame
            del frame

    ahead, behind = tee(frames())
    for _ in islice(zip(ahead, behind, strict=True), 10):
        pass
    assert sum(frame() is not None for frame in made) <= 2
