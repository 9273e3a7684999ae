"""Controls of the page, made from the option classes, so that no default and no range is written twice."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import gradio as gr

import talkinghead

OWN = {
    "overwrite",
    "batch_size",
    "save_template",
    "tts_command",
    "work",
    "caption_font",
    "alpha",
    "sign_cert",
    "sign_key",
}
"""Options that the studio decides itself, or that name programs or files of this machine."""


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        group: The class of its option.
        option: The option.
        component: The component of the page.
    """

    group: type
    option: Field[Any]
    component: Any

    @property
    def key(self) -> str:
        """Its name where values are remembered."""
        return f"{self.group.__name__}.{self.option.name}"

    @property
    def is_file(self) -> bool:
        """Whether its value is an uploaded file, which cannot be remembered."""
        return isinstance(self.component, gr.File)


class Controls:
    """The controls of all options of a command; `components` are inputs of the functions that `read` their values.

    Args:
        groups: The option classes.
        first: Names of the options that are shown at once; the others are behind "More options".
        leave: Names of the options without a control.
        choices: Suggestions for options that are texts, by their names.
    """

    def __init__(
        self,
        *groups: type,
        first: Sequence[str],
        leave: Collection[str] = (),
        choices: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        suggested = choices or {}
        options = [(group, each) for group in groups for each in fields(group) if each.name not in {*OWN, *leave}]
        by_name = {each.name: (group, each) for group, each in options}
        with gr.Row(elem_classes="options"):
            self._controls = [_control(*by_name[name], suggested) for name in first]
        with gr.Accordion("More options", open=False):
            for group in groups:
                rest = [each for kind, each in options if kind is group and each.name not in first]
                if rest:
                    gr.Markdown(f"### {group.__name__.removesuffix('Options')}")
                    with gr.Row(elem_classes="options"):
                        self._controls += [_control(group, each, suggested) for each in rest]
            with gr.Row():
                self._model = gr.Dropdown(["mini", "base", "animals"], value="mini", label="Model")
                self._voice_model = gr.Dropdown(["mini", "joyvasa"], value="mini", label="Voice model")
            reset = gr.Button("Back to the defaults", size="sm")
        reset.click(lambda: [self._default(each) for each in self.components], None, self.components, queue=False)

    @property
    def components(self) -> list[Any]:
        """All components, in the order in which `read` takes their values."""
        return [*(control.component for control in self._controls), self._model, self._voice_model]

    def read(self, values: Sequence[Any]) -> tuple[dict[str, dict[str, Any]], str, str]:
        """Return the options by the names of their classes and their own names, the model and the voice model."""
        made: dict[str, dict[str, Any]] = {}
        for control, value in zip(self._controls, values, strict=False):
            made.setdefault(control.group.__name__, {})[control.option.name] = _given(control.option, value)
        return made, values[-2], values[-1]

    def remember(self, shown: Sequence[Any], state: gr.BrowserState) -> None:
        """Keep the values in the browser, and show them again when the tab is shown again.

        Args:
            shown: The events that show the tab; a page has no contents of tabs before these are chosen.
            state: Where they are kept, outside all tabs.
        """
        kept = [each for each in self._controls if not each.is_file]
        components = [*(control.component for control in kept), self._model, self._voice_model]
        keys = [*(control.key for control in kept), "model", "voice_model"]

        def restore(saved: Mapping[str, Any] | None) -> list[Any]:
            usable = _usable(saved or {}, kept)
            return [usable.get(key, gr.skip()) for key in keys]

        gr.on(shown, restore, state, components, show_progress="hidden", queue=False)
        gr.on(  # not `change`, which the page itself causes when it is opened
            [component.input for component in components],
            lambda *values: dict(zip(keys, values, strict=True)),
            components,
            state,
            show_progress="hidden",
            queue=False,
            trigger_mode="always_last",
        )

    def _default(self, component: Any) -> Any:
        for control in self._controls:
            if control.component is component:
                return _shown(control.option)
        return "mini"


def options_of(kind: type, given: Mapping[str, Mapping[str, Any]]) -> Any:
    """Make `Options` or `NarrationOptions` of what `Controls.read` returned.

    Raises:
        OptionError: A value is out of range.
    """
    parts = {name: part for name, part in get_type_hints(kind).items() if part.__name__ in given}
    return kind(**{name: part(**given[part.__name__]) for name, part in parts.items()})


def _usable(saved: Mapping[str, Any], kept: Sequence[Control]) -> dict[str, Any]:
    """Leave out remembered values that this version does not accept."""
    usable = {name: saved[name] for name in ("model", "voice_model") if isinstance(saved.get(name), str)}
    for control in kept:
        if control.key in saved:
            try:
                control.group(**{control.option.name: _given(control.option, saved[control.key])})
            except (talkinghead.OptionError, TypeError):
                continue
            usable[control.key] = saved[control.key]
    return usable


def _control(group: type, option: Field[Any], suggested: Mapping[str, Sequence[str]]) -> Control:
    kind = get_type_hints(group)[option.name]
    text: dict[str, Any] = {"label": option.name.replace("_", " ").capitalize(), "info": option.metadata["meaning"]}
    if option.metadata["names_file"] is bool:
        return Control(group, option, gr.File(label=f"{text['label']}: {text['info']}", height=120))
    if option.name in suggested:
        names = gr.Dropdown(list(suggested[option.name]), value=_shown(option), allow_custom_value=True, **text)
        return Control(group, option, names)
    return Control(group, option, _component(kind, option, text))


def _component(kind: Any, option: Field[Any], text: dict[str, Any]) -> Any:
    low, high, shown = option.metadata["low"], option.metadata["high"], _shown(option)
    if kind is bool:
        return gr.Checkbox(shown, **text)
    if get_origin(kind) is Literal:
        return gr.Dropdown(list(get_args(kind)), value=shown, **text)
    if _can_be_off(option):
        text["info"] += " Left end: default."
        return gr.Slider(shown, high, shown, step=_step(low, high), **text)
    if kind not in {int, float}:
        return gr.Textbox(shown, **text)
    if 0.01 < high - low < 1000:
        return gr.Slider(low, high, shown, step=1 if kind is int else _step(low, high), **text)
    return gr.Number(shown, precision=0 if kind is int else None, **text)


def _step(low: float, high: float) -> float:
    """Return a step of a slider: a power of ten, about a hundredth of its range."""
    return 10 ** math.floor(math.log10((high - low) / 50))


def _shown(option: Field[Any]) -> Any:
    """Return the value that a control begins with; what may be left out is a text, or a slider with one more step."""
    if _can_be_off(option):
        return option.metadata["low"] - _step(option.metadata["low"], option.metadata["high"])
    return "" if option.default is None else option.default


def _can_be_off(option: Field[Any]) -> bool:
    """Return whether an option is a number of a small range that may be left out."""
    high = option.metadata["high"]
    return option.default is None and "float" in str(option.type) and option.metadata["low"] == 0 and high <= 10


def _given(option: Field[Any], value: Any) -> Any:
    """Return a control's value as the option takes it."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return option.default
    if _can_be_off(option) and not isinstance(value, str) and value < option.metadata["low"]:
        return None
    return float(f"{value:.6g}") if isinstance(value, float) else value  # the browser adds 1e-17 to steps
