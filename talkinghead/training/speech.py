"""Commands that train and export the embedded audio-to-motion model.

It learns from the clips that may train published weights; the others, people it never meets, choose the checkpoint; the
clips of val/ only measure, and choose where there are no others.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Literal

import torch
import typer
from safetensors.torch import load_file
from torch import Tensor

from audio2motion.config import AudioToMotionConfig
from audio2motion.model import AudioToMotion
from audio2motion.network import MIDDLE, SpeechToMouth
from audio2motion.training.data import SEAM, BatchSampler, SpeechClips
from audio2motion.training.delays import FURTHEST, lip_delays
from audio2motion.training.idle_tracks import brow_lift, idle_tracks, mirror_signs
from audio2motion.training.metrics import summarise
from audio2motion.training.speech_tracks import SpeechTracks
from audio2motion.training.speech_trainer import SpeechTrainConfig, SpeechTrainer, displacement_shapes
from audio2motion.weights import parse_config, save
from liveportrait.training.face_model_fit import load_face_model
from liveportrait.training.loop import CHECKPOINT, Figures, change_settings, check_same, read_average, run
from talkinghead.cli.tools import new_app
from talkinghead.dataset.speech import read_training, read_validation
from talkinghead.errors import OptionError
from talkinghead.evaluation.lips import predict, score, unseen_speakers
from talkinghead.training.recogniser_weights import read_recogniser

PRESETS = {
    "cpu": SpeechTrainConfig(num_steps=1200),  # two cores, about 20 minutes
    "gpu": SpeechTrainConfig(num_steps=12_000, batch_size=64, num_frames=75, device="cuda"),
}

STATE_DROPOUT, HEAD_DROPOUT = 0.7, 0.4  # beside a recogniser, whose many states the decoder would memorise
RECOGNISER_LAYERS = 3
AMPLITUDES = (0.6, 1.5)  # limits of the spread of generated openings over that of the real ones
CONTRASTS = torch.arange(1.0, 2.01, 0.05)

app = new_app("Train the embedded audio-to-motion model on clips that `prepare.py clips` wrote.")
Data = Annotated[Path, typer.Option(help="Folder with speech_motion.npz, landmarks_val.npz and val/.")]
Face = Annotated[Path, typer.Option(help="Face model written by `train.py face-model`.")]


@app.command()
def train(
    data: Data,
    face: Face,
    run_folder: Annotated[Path, typer.Option("--run", help="Folder for checkpoint and log; continued if it exists.")],
    phonemes: Annotated[Path | None, typer.Option(help="Labels written by `prepare.py phonemes`, if any.")] = None,
    preset: Annotated[Literal["cpu", "gpu"], typer.Option(help="Settings for this kind of machine.")] = "cpu",
    change: Annotated[list[str], typer.Option("--set", help="name=value, over the preset.")] = [],  # noqa: B006
    start: Annotated[Path | None, typer.Option(help="best.safetensors of an earlier run, to start from.")] = None,
    teacher: Annotated[
        list[Path], typer.Option(help="best.safetensors of a run, whose mean with the other teachers is learned too.")
    ] = [],  # noqa: B006
    align: Annotated[
        str | None,
        typer.Option(help="Model that measures how late each person's lips are, to shift the sound: mini or a folder."),
    ] = None,
    every: Annotated[int, typer.Option(help="Steps between validations and checkpoints.")] = 250,
    minutes: Annotated[float, typer.Option(help="Stop (resumably) after this time.")] = math.inf,
    recogniser: Annotated[
        str | None, typer.Option(help="Whisper model whose first layers listen too, untrained: hub name or folder.")
    ] = None,
    recogniser_layers: Annotated[int | None, typer.Option(help="Number of its layers to use; 3 unless given.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Wav2Vec2, HuBERT, WavLM or XLS-R: hub name or folder.")] = None,
    layer: Annotated[int | None, typer.Option(help="Use only this many of its layers.")] = None,
    encoder_from: Annotated[str | None, typer.Option(help="Model to take the encoder from: mini or a folder.")] = None,
    frozen: Annotated[bool, typer.Option(help="Keep the encoder's weights.")] = False,
) -> None:
    """Train, or continue a run."""
    check_options(encoder, layer, encoder_from, frozen and start is None, recogniser, recogniser_layers)
    config = PRESETS[preset]
    model, weights = with_published(config.model, encoder, layer, encoder_from, recogniser, recogniser_layers)
    model = replace(model, encoder=replace(model.encoder, frozen=frozen))
    config = change_settings(replace(config, model=model), change)
    check_same(run_folder, config, ["model"])
    shape = load_face_model(face)
    tracks, val = read_training(data, shape), read_validation(data, shape)
    labels = load_file(phonemes)["phonemes"] if phonemes else torch.zeros(2 * tracks.offsets[-1], 0)
    unseen = unseen_speakers(tracks)
    delays = measured_delays(AudioToMotion.from_pretrained(align).mouth, tracks) if align else None
    clips = permissive_clips(tracks, labels, delays)
    torch.manual_seed(config.seed)
    network = SpeechToMouth(config.model)
    network.read_face(shape)
    fill(network, network.state_dict() | weights, "--set")
    if start is not None:
        fill(network, load_file(start), str(start))
    sampler = BatchSampler(clips, config.num_frames, config.batch_size, config.seed, config.balance, config.augmented)
    shapes = displacement_shapes(shape.expression_basis[: config.model.num_mouth])
    trainer = SpeechTrainer(network, sampler, shapes, config, [read_network(config, file) for file in teacher])

    def validate() -> Figures:
        return lip_figures(trainer.averaged(), tracks, unseen, val)

    run(trainer, run_folder, validate, every=every, minutes=minutes, best_by="unseen_mean")


@app.command()
def export(
    data: Data,
    face: Face,
    run_folders: Annotated[
        list[Path], typer.Option("--run", help="Folder of a run; weights of several runs are averaged.")
    ],
    output: Annotated[Path, typer.Option(help="Folder to write the model to.")],
) -> None:
    """Calibrate a run's averaged weights, add idle motion and write the model as `--voice-model` takes it."""
    shape = load_face_model(face)
    tracks = read_training(data, shape)
    idle, bounds = idle_tracks(tracks)
    runs = [read_average(folder) for folder in run_folders]
    config = parse_config(runs[0][0]["model"], run_folders[0] / CHECKPOINT)
    config = replace(config, num_life_clips=len(bounds) - 1, num_life_frames=len(idle))
    model = AudioToMotion(config)
    weights = [average for _, average in runs]
    model.mouth.load_state_dict({name: sum(one[name] for one in weights) / len(weights) for name in weights[0]})
    unseen = unseen_speakers(tracks)
    judged = tracks if unseen else read_validation(data, shape)
    fit_contrast(model.eval().mouth, judged, unseen or list(range(len(judged))))
    model.life_tracks.copy_(idle)
    model.life_bounds.copy_(bounds)
    model.life_mirror.copy_(mirror_signs(shape))
    model.brow_lift.copy_(brow_lift(shape))
    save(model, output)
    count = sum(p.numel() for p in model.parameters())
    typer.echo(f"{output}: contrast {float(model.mouth.contrast):.3f}, {count:,} weights")


def check_options(
    encoder: str | None,
    layer: int | None,
    encoder_from: str | None,
    frozen: bool,
    recogniser: str | None,
    recogniser_layers: int | None,
) -> None:
    """Check that options of `train` go together; `frozen` without `--start`.

    Raises:
        OptionError: They do not.
    """
    if encoder is not None and encoder_from is not None:
        raise OptionError("--encoder and --encoder-from both choose the encoder; give one")
    if layer is not None and encoder is None:
        raise OptionError("--layer: needs --encoder")
    if frozen and encoder is None and encoder_from is None:
        raise OptionError("--frozen: there is no trained encoder to keep; give --encoder, --encoder-from or --start")
    if recogniser_layers is not None and recogniser is None:
        raise OptionError("--recogniser-layers: needs --recogniser")


def with_published(
    model: AudioToMotionConfig,
    encoder: str | None,
    layer: int | None,
    encoder_from: str | None,
    recogniser: str | None,
    recogniser_layers: int | None,
) -> tuple[AudioToMotionConfig, dict[str, Tensor]]:
    """Put the encoder and the recogniser that options of `train` name into an architecture.

    Returns:
        The architecture, and the weights that are read already, named as in `SpeechToMouth.state_dict`. A published
        encoder reads its own when it is built.
    """
    weights: dict[str, Tensor] = {}
    model = replace(model, encoder=replace(model.encoder, checkpoint=encoder, layer=layer))
    if encoder_from is not None:
        earlier = AudioToMotion.from_pretrained(encoder_from)
        model = replace(model, encoder=earlier.config.encoder)
        weights |= {f"encoder.{name}": value for name, value in earlier.mouth.encoder.state_dict().items()}
    if recogniser is not None:
        num_layers = RECOGNISER_LAYERS if recogniser_layers is None else recogniser_layers
        listener, heard = read_recogniser(recogniser, num_layers)
        model = replace(model, recogniser=listener, state_dropout=STATE_DROPOUT, head_dropout=HEAD_DROPOUT)
        weights |= {f"recogniser.{name}": value for name, value in heard.items()}
    return model, weights


def read_network(config: SpeechTrainConfig, file: Path) -> SpeechToMouth:
    """Read the best weights of a run."""
    network = SpeechToMouth(config.model)
    fill(network, load_file(file), str(file))
    return network.eval()


def fill(network: SpeechToMouth, weights: dict[str, Tensor], origin: str) -> None:
    """Put weights into a network.

    Raises:
        OptionError: They have other names or shapes than the network's; the message begins with `origin`.
    """
    own, given = ({name: value.shape for name, value in each.items()} for each in (network.state_dict(), weights))
    wrong = sorted(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))
    if wrong:
        raise OptionError(f"{origin}: {wrong[0]} does not fit the network; leave the sizes of its parts as they were")
    network.load_state_dict(weights)


def measured_delays(network: SpeechToMouth, tracks: SpeechTracks) -> dict[str, float]:
    """Measure with a network how late each person's lips are, relative to the median person.

    Args:
        network: A trained network in eval mode.
        tracks: Speech with its lips; only clips that may train weights that ship are measured.

    Returns:
        Delays in frames, from -3 to 3, positive where the lips are late; without people whose delay is unsure.
    """
    kept = [n for n in range(len(tracks)) if tracks.permissive[n]]
    delays = lip_delays(tracks, kept, lambda n: (predict(network, tracks, n) @ network.readout)[:, MIDDLE])
    usual = median(delays.values()) if delays else 0.0
    return {who: min(max(delay - usual, -FURTHEST), FURTHEST) for who, delay in delays.items()}


def permissive_clips(tracks: SpeechTracks, phonemes: Tensor, delays: dict[str, float] | None = None) -> SpeechClips:
    """Pick what may train weights that ship.

    Args:
        tracks: Speech with its lips.
        phonemes: Probabilities per 320 samples, shape (2 · frames, P).
        delays: Of the lips of some people, in frames; None takes GRID's lips to be a frame late.
    """
    lengths = [after - before for before, after in pairwise(tracks.offsets)]
    late = [_delay(who, delays) for who in tracks.identities]
    kept = [n for n, free in enumerate(tracks.permissive) if free and lengths[n] > 2 * SEAM + abs(late[n])]
    people = sorted({tracks.identities[n] for n in kept})
    return SpeechClips(
        waveform=tracks.waveform,
        mouth=tracks.mouth,
        bounds=[(tracks.offsets[n], tracks.offsets[n + 1]) for n in kept],
        speakers=[people.index(tracks.identities[n]) for n in kept],
        delays=[late[n] for n in kept],
        phonemes=phonemes,
    )


def _delay(who: str, measured: dict[str, float] | None) -> float:
    return float(who.startswith("grid")) if measured is None else measured.get(who, 0.0)


def fit_contrast(network: SpeechToMouth, tracks: SpeechTracks, clips: list[int]) -> None:
    """Set centre and contrast, because regression shrinks openings.

    At each contrast, the lips of some clips spread too little or too far against the real ones, outside `AMPLITUDES`.
    The contrast with the fewest such clips is taken, the largest if there are several.
    """
    predicted = [predict(network, tracks, n) for n in clips]
    network.center.copy_(torch.cat(predicted).mean(0))
    real = [tracks.opening[tracks.offsets[n] : tracks.offsets[n + 1]] for n in clips]
    spread = [(p @ network.readout[:, MIDDLE]).std() / r.std() for p, r in zip(predicted, real, strict=True)]
    amplitudes = torch.stack(spread) * CONTRASTS[:, None]
    missed = ((amplitudes < AMPLITUDES[0]) | (amplitudes > AMPLITUDES[1])).sum(1)
    network.contrast.fill_(CONTRASTS[missed == missed.min()][-1])


def lip_figures(network: SpeechToMouth, tracks: SpeechTracks, clips: list[int], val: SpeechTracks) -> Figures:
    """Score a network on unseen speakers (`clips` of `tracks`) and on the validation clips."""
    shown = score(network, val, list(range(len(val))))
    judged = {"unseen": score(network, tracks, clips) if clips else shown, "val": shown}
    figures: Figures = {}
    for name, scores in judged.items():
        figures[f"{name}_mean"] = fmean(one.correlation for one in scores)
        figures |= {f"{name}_{figure}": value for figure, value in vars(summarise(scores)).items()}
    return figures
