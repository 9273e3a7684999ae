"""Threads, settings of PyTorch and NumPy, repeated calls: the library gives what it gives alone, and keeps nothing."""

import ctypes
import gc
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from caller import CALLS, Caller
from PIL import Image

from talkinghead import load_models
from talkinghead.host.isolation import computing_alone, made_alone, made_with_callers, made_with_own


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    return Caller(tmp_path_factory.mktemp("caller"), load_models("mini", "cpu")).prepare()


@pytest.fixture(scope="module")
def alone(caller):
    return {name: list(getattr(caller, name)()) for name in CALLS}


def same(some, others):
    return len(some) == len(others) and all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def process_state():
    stderr = os.fstat(2)
    return stderr.st_dev, stderr.st_ino, Image.MAX_IMAGE_PIXELS, dict(os.environ), torch.get_default_dtype()


def test_threads_share_models(caller, alone):
    made, before = {}, process_state()
    names = ("speak", "reenact", "speak")

    def call(number, name):
        made[number] = list(getattr(caller, name)())

    threads = [threading.Thread(target=call, args=each) for each in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(made[number], alone[name]) for number, name in enumerate(names))
    assert same(list(caller.speak()), alone["speak"])
    assert process_state() == before


@contextmanager
def other_settings():
    """Change settings of all threads and of this one."""
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), torch.autocast("cpu", torch.bfloat16), np.errstate(all="raise"):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", ["speak", "stream", "reenact", "edit"])
def test_settings_of_the_caller_change_nothing(caller, alone, name):
    with other_settings():
        made = list(getattr(caller, name)())
    assert same(made, alone[name])


def test_models_are_loaded_alike(caller, alone):
    with other_settings():
        own = Caller(caller.folder, load_models("mini", "cpu"))
    assert same(list(own.speak()), alone["speak"])


def test_callers_keep_their_settings():
    def asked():
        for _ in range(2):
            seen.append(torch.zeros(1).device.type)
            yield np.zeros(1)

    seen = []
    with torch.device("meta"), np.errstate(all="raise"):
        for _ in made_with_own(made_with_callers(asked())):
            seen.append(torch.zeros(1).device.type)
            with pytest.raises(FloatingPointError):
                np.ones(1) / np.zeros(1)
    assert seen == ["meta"] * 4


def test_computing_alone_ends_with_each_item():
    def asked():
        for _ in range(2):
            seen.append(torch.get_num_threads())
            yield None

    seen, before = [], torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in made_alone(made_with_callers(asked())):
            seen.append(torch.get_num_threads())
        assert seen == [2] * 4
        with computing_alone():
            assert torch.get_num_threads() == 1
            other = ThreadPoolExecutor(1).submit(torch.get_num_threads).result()
        assert other == 2 and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def kept():
    """Return how many threads and descriptors this process has, and how many megabytes it takes.

    The C library keeps freed memory for later calls, more of it the more threads there were: it is handed back first.
    Threads that finish what nobody waits for may have a file open: the least number within a moment counts.
    """
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    with open("/proc/self/status") as status:
        pages = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    descriptors = []
    for _ in range(10):
        descriptors.append(len(os.listdir("/proc/self/fd")))
        time.sleep(0.03)
    return len(os.listdir("/proc/self/task")), min(descriptors), pages / 1024


def assert_no_more(counts):
    (threads, descriptors, megabytes), last = counts[0], counts[-1]
    assert last[0] <= threads and last[1] <= descriptors
    assert last[2] < megabytes + 60


@pytest.mark.skipif(sys.platform != "linux", reason="counts what Linux lists in /proc")
@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_kept(caller, alone, name):
    counts = []
    for abandoned in (True, False, True):
        pictures = iter(getattr(caller, name)())
        next(pictures, None)
        if not abandoned:
            list(pictures)
        del pictures
        counts.append(kept())
    assert_no_more(counts)


@pytest.mark.skipif(sys.platform != "linux", reason="counts what Linux lists in /proc")
def test_models_that_are_dropped_are_gone(caller, alone):
    own, counts = Caller(caller.folder), []
    for _ in range(3):
        next(iter(own.speak()))
        counts.append(kept())
    assert_no_more(counts)
