"""Use the page as a browser does, without one: press a button with some values changed."""

import asyncio
from types import SimpleNamespace

import gradio as gr

REQUEST = SimpleNamespace(session_hash="page")


def find(page, kind, label):
    """Return the components of a kind with a label, or for buttons with a text."""
    named = "value" if kind is gr.Button else "label"
    return [each for each in page.blocks.values() if type(each) is kind and getattr(each, named) == label]


def listener(page, component, event):
    """Return what listens to an event of a component."""
    return next(fn for fn in page.fns.values() if (component._id, event) in fn.targets)


def press(page, text, number=0, **changed):
    """Press a button; returns all that the page was shown, as lists of outputs.

    Args:
        page: The page.
        text: The button's text.
        number: Which of several buttons.
        changed: Values of inputs by their labels, with underscores for spaces.
    """
    fn = listener(page, find(page, gr.Button, text)[number], "click")
    given = {name.replace("_", " "): value for name, value in changed.items()}
    values = [given.get(getattr(each, "label", None), each.value) for each in fn.inputs]

    async def outputs():
        return [each async for each in fn.fn(REQUEST, *values)]

    return asyncio.run(outputs())
