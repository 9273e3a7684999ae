"""Commands that train and export the embedded audio-to-motion model.

It learns from the clips that may train published weights; the others, people it never meets, choose the checkpoint; the
clips of val/ only measure, and choose where there are no others.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Literal

import torch
import typer
from safetensors.torch import load_file
from torch import Tensor

from audio2motion.model import AudioToMotion
from audio2motion.network import MIDDLE, SpeechToMouth
from audio2motion.training.data import BatchSampler, SpeechClips
from audio2motion.training.delays import lip_delays
from audio2motion.training.idle_tracks import brow_lift, idle_tracks, mirror_signs
from audio2motion.training.metrics import summarise
from audio2motion.training.speech_tracks import SpeechTracks
from audio2motion.training.speech_trainer import SpeechTrainConfig, SpeechTrainer, displacement_shapes
from audio2motion.weights import parse_config, save
from liveportrait.training.face_model_fit import load_face_model
from liveportrait.training.loop import CHECKPOINT, Figures, change_settings, read_average, run
from talkinghead.cli.tools import new_app
from talkinghead.dataset.speech import read_training, read_validation
from talkinghead.evaluation.lips import predict, score, unseen_speakers
from talkinghead.training.recogniser_weights import read_recogniser

PRESETS = {
    "cpu": SpeechTrainConfig(num_steps=1200),  # two cores, about 20 minutes
    "gpu": SpeechTrainConfig(num_steps=12_000, batch_size=64, num_frames=75, device="cuda"),
}

STATE_DROPOUT, HEAD_DROPOUT = 0.7, 0.4  # beside a recogniser, whose many states the decoder else learns by heart

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
        str | None, typer.Option(help="Model that tells how late everybody's lips are: mini or a folder.")
    ] = None,
    every: Annotated[int, typer.Option(help="Steps between validations and checkpoints.")] = 250,
    minutes: Annotated[float, typer.Option(help="Stop (resumably) after this time.")] = math.inf,
    recogniser: Annotated[
        str | None, typer.Option(help="Whisper model that listens, too, as it is: hub name or folder.")
    ] = None,
    recogniser_layers: Annotated[int, typer.Option(help="Use only this many layers of its encoder.")] = 3,
    encoder: Annotated[str | None, typer.Option(help="Wav2Vec2, HuBERT, WavLM or XLS-R: hub name or folder.")] = None,
    layer: Annotated[int | None, typer.Option(help="Use only this many of its layers.")] = None,
    encoder_from: Annotated[str | None, typer.Option(help="Model to take the encoder from: mini or a folder.")] = None,
    frozen: Annotated[bool, typer.Option(help="Keep the encoder's weights.")] = False,
) -> None:
    """Train, or continue a run."""
    config = PRESETS[preset]
    earlier = AudioToMotion.from_pretrained(encoder_from) if encoder_from else None
    published = replace(config.model.encoder, checkpoint=encoder, layer=layer)
    chosen = replace(earlier.config.encoder if earlier else published, frozen=frozen)
    model, heard = replace(config.model, encoder=chosen), {}
    if recogniser is not None:
        listener, heard = read_recogniser(recogniser, recogniser_layers)
        model = replace(model, recogniser=listener, state_dropout=STATE_DROPOUT, head_dropout=HEAD_DROPOUT)
    config = replace(config, model=model)
    config = change_settings(config, change)
    shape = load_face_model(face)
    tracks, val = read_training(data, shape), read_validation(data, shape)
    labels = load_file(phonemes)["phonemes"] if phonemes else torch.zeros(2 * tracks.offsets[-1], 0)
    unseen = unseen_speakers(tracks)
    delays = measured_delays(AudioToMotion.from_pretrained(align).mouth, tracks) if align else None
    clips = permissive_clips(tracks, labels, delays)
    torch.manual_seed(config.seed)
    network = SpeechToMouth(config.model)
    network.read_face(shape)
    if network.recogniser is not None:
        network.recogniser.load_state_dict(heard)
    if earlier is not None:
        network.encoder.load_state_dict(earlier.mouth.encoder.state_dict())
    if start is not None:
        network.load_state_dict(load_file(start))
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


def read_network(config: SpeechTrainConfig, file: Path) -> SpeechToMouth:
    """Read the best weights of a run."""
    network = SpeechToMouth(config.model)
    network.load_state_dict(load_file(file))
    return network.eval()


def measured_delays(network: SpeechToMouth, tracks: SpeechTracks) -> dict[str, float]:
    """Measure by a network how late the lips of the people are that it may learn from, against the median of all."""
    kept = [n for n in range(len(tracks)) if tracks.permissive[n]]
    delays = lip_delays(tracks, kept, lambda n: (predict(network, tracks, n) @ network.readout)[:, MIDDLE])
    usual = median(delays.values())
    return {who: delay - usual for who, delay in delays.items()}


def permissive_clips(tracks: SpeechTracks, phonemes: Tensor, delays: dict[str, float] | None = None) -> SpeechClips:
    """Pick what may train weights that ship. Without measured delays, GRID's lips are taken to be a frame late."""
    kept = [n for n in range(len(tracks)) if tracks.permissive[n]]
    people = sorted({tracks.identities[n] for n in kept})
    return SpeechClips(
        waveform=tracks.waveform,
        mouth=tracks.mouth,
        bounds=[(tracks.offsets[n], tracks.offsets[n + 1]) for n in kept],
        speakers=[people.index(tracks.identities[n]) for n in kept],
        delays=[_delay(tracks.identities[n], delays) for n in kept],
        phonemes=phonemes,
    )


def _delay(who: str, measured: dict[str, float] | None) -> float:
    return float(who.startswith("grid")) if measured is None else measured.get(who, 0.0)


def fit_contrast(network: SpeechToMouth, tracks: SpeechTracks, clips: list[int]) -> None:
    """Set centre and contrast so that openings spread as the real ones do: regression shrinks them."""
    predicted = [predict(network, tracks, n) for n in clips]
    network.center.copy_(torch.cat(predicted).mean(0))
    real = [tracks.opening[tracks.offsets[n] : tracks.offsets[n + 1]] for n in clips]
    ratios = [r.std() / (p @ network.readout[:, MIDDLE]).std() for p, r in zip(predicted, real, strict=True)]
    network.contrast.fill_(float(torch.stack(ratios).quantile(0.5).clamp(1.0, 2.0)))


def lip_figures(network: SpeechToMouth, tracks: SpeechTracks, clips: list[int], val: SpeechTracks) -> Figures:
    """Score a network on unseen speakers (`clips` of `tracks`) and on the validation clips."""
    shown = score(network, val, list(range(len(val))))
    judged = {"unseen": score(network, tracks, clips) if clips else shown, "val": shown}
    figures: Figures = {}
    for name, scores in judged.items():
        figures[f"{name}_mean"] = fmean(one.correlation for one in scores)
        figures |= {f"{name}_{figure}": value for figure, value in vars(summarise(scores)).items()}
    return figures
