"""Train the embedded audio-to-motion model.

    python talkinghead/training/speech.py train --data DATA --face runs/face_model.safetensors \
        --phonemes runs/phonemes.safetensors --run runs/a2m
    python talkinghead/training/speech.py ship --data DATA --face runs/face_model.safetensors --run runs/a2m
    python talkinghead/training/speech.py measure --data DATA --face runs/face_model.safetensors
    python talkinghead/training/speech.py train --data clips --face runs/face_model.safetensors --run runs/big \
        --encoder microsoft/wavlm-base-plus --layer 9 --frozen      # a published encoder, your own clips

Learns from the clips that may train weights which ship; the others, people it never meets, choose the checkpoint;
the clips of val/ only measure, and choose where there are no others. A run that is started again goes on where it
stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

import torch
import typer
from talkinghead.evaluation.closures import compare_with_real, opening_of
from talkinghead.evaluation.idle_motion import describe_idle_motion, drawn_idle_motion, real_idle_motion
from audio2motion.training.idle_tracks import brow_lift, life_tracks, mirror_signs
from talkinghead.training.recogniser_weights import fill
from safetensors.torch import load_file, save_file
from audio2motion.training.speech_tracks import SpeechTracks, read_training, read_validation
from torch import Tensor

from audio2motion.config import FRAME_RATE, FRAME_SAMPLES, SAMPLE_RATE, AudioToMotionConfig, RecogniserConfig
from audio2motion.training.data import BatchSampler, SpeechClips, hiss
from audio2motion.training.metrics import LipScore, pearson, score_lips, summarise
from audio2motion.model import AudioToMotion
from audio2motion.network import MIDDLE, SpeechToMouth
from audio2motion.training.trainer import TrainConfig, Trainer, displacement_shapes
from audio2motion.weights import parse_config, save
from audio2motion.windows import through_windows
from liveportrait.mini.face_model import FaceModel

MODEL = AudioToMotionConfig(recogniser=RecogniserConfig())
SETTINGS = {
    "cpu": TrainConfig(MODEL, num_steps=1200),  # two cores, about 20 minutes
    "gpu": TrainConfig(MODEL, num_steps=12_000, batch_size=64, num_frames=75, device="cuda"),
}
ROOM_DB = -65.0  # noise of a quiet room
SETTLED = 4  # frames after the voice stops, and before it starts, in which the lips may still move
CLOSED_RATIO = 0.02
LONG_ENOUGH = 50  # frames a clip must have to be scored
PER_PERSON = 1  # clips of one person that are scored

WEIGHTS = Path(__file__).parents[1] / "audio2motion" / "weights" / "mini"

app = typer.Typer(add_completion=False)
Data = Annotated[Path, typer.Option(help="Folder with speech_motion.npz, landmarks_val.npz and val/.")]
Face = Annotated[Path, typer.Option(help="Face model written by fit_face_model.py.")]
Output = Annotated[Path, typer.Option(help="Folder to write the model to.")]
Weights = Annotated[Path, typer.Option(help="Folder of a finished model.")]
Run = Annotated[Path, typer.Option(help="Folder of the run: checkpoints and log.")]


def read_face(path: Path) -> FaceModel:
    """Load the face model."""
    face = FaceModel()
    face.load_state_dict(load_file(path))
    return face


def permissive_clips(tracks: SpeechTracks, phonemes: Tensor) -> SpeechClips:
    """Pick what may train weights that ship. GRID's lips come a frame late."""
    kept = [n for n in range(len(tracks)) if tracks.permissive[n]]
    people = sorted({tracks.identities[n] for n in kept})
    return SpeechClips(
        waveform=tracks.waveform,
        mouth=tracks.mouth,
        bounds=[(tracks.offsets[n], tracks.offsets[n + 1]) for n in kept],
        speakers=[people.index(tracks.identities[n]) for n in kept],
        delays=[int(tracks.identities[n].startswith("grid")) for n in kept],
        phonemes=phonemes,
    )


def unseen_speakers(tracks: SpeechTracks) -> list[int]:
    """Pick clips of people who are in no training clip."""
    known = {who for who, free in zip(tracks.identities, tracks.permissive, strict=True) if free}
    picked: dict[str, list[int]] = {}
    for n, who in enumerate(tracks.identities):
        if who not in known and tracks.offsets[n + 1] - tracks.offsets[n] >= LONG_ENOUGH:
            picked.setdefault(who, []).append(n)
    return [n for clips in picked.values() for n in clips[:PER_PERSON]]


def sound_of(tracks: SpeechTracks, clip: int) -> Tensor:
    """Return a clip's samples, float32."""
    start, end = tracks.offsets[clip] * FRAME_SAMPLES, tracks.offsets[clip + 1] * FRAME_SAMPLES
    return tracks.waveform[start:end].float() / 32768


@torch.inference_mode()
def predict(network: SpeechToMouth, tracks: SpeechTracks, clip: int) -> Tensor:
    """Predict one clip's coefficients, before calibration."""
    sound = sound_of(tracks, clip)
    return torch.cat(list(through_windows([sound], lambda part: network(part[None])[0])))


def score(
    network: SpeechToMouth, tracks: SpeechTracks, clips: list[int], mouth_of: Callable[[int], Tensor] | None = None
) -> list[LipScore]:
    """Score clips with a network in eval mode, or with the mouths that a function gives."""
    scores = []
    for clip in clips:
        measures = (mouth_of(clip) if mouth_of else predict(network, tracks, clip)) @ network.readout
        frames = slice(tracks.offsets[clip], tracks.offsets[clip + 1])
        scores.append(score_lips(measures[:, MIDDLE], tracks.opening[frames], measures[:, -1], tracks.width[frames]))
    return scores


def fit_contrast(network: SpeechToMouth, tracks: SpeechTracks, clips: list[int]) -> None:
    """Set centre and contrast so that openings spread as the real ones do: regression shrinks them."""
    predicted = [predict(network, tracks, n) for n in clips]
    network.center.copy_(torch.cat(predicted).mean(0))
    real = [tracks.opening[tracks.offsets[n] : tracks.offsets[n + 1]] for n in clips]
    ratios = [r.std() / (p @ network.readout[:, MIDDLE]).std() for p, r in zip(predicted, real, strict=True)]
    network.contrast.fill_(float(torch.stack(ratios).quantile(0.5).clamp(1.0, 2.0)))


def averaged(trainer: Trainer) -> SpeechToMouth:
    """Build the network of the averaged weights."""
    network = deepcopy(trainer.network).cpu()
    network.load_state_dict({name: value.cpu() for name, value in trainer.average.items()})
    return network.eval()


def log(run: Path, entry: dict) -> None:
    """Append a line to the run's log and show it."""
    line = json.dumps({name: round(v, 4) if isinstance(v, float) else v for name, v in entry.items()})
    with (run / "log.jsonl").open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)


def check(trainer: Trainer, held_out: SpeechTracks, clips: list[int], val: SpeechTracks) -> tuple[float, dict]:
    """Score the averaged weights: the figure that chooses the checkpoint, and all figures."""
    network = averaged(trainer)
    shown = summarise(score(network, val, list(range(len(val)))))
    unseen = summarise(score(network, held_out, clips)) if clips else shown
    figures = {f"unseen_{k}": v for k, v in vars(unseen).items()} | {f"val_{k}": v for k, v in vars(shown).items()}
    return unseen.correlation, figures


@app.command()
def train(
    data: Data,
    face: Face,
    run: Run,
    phonemes: Annotated[Path | None, typer.Option(help="Labels written by phoneme_labels.py, if any.")] = None,
    setting: Annotated[Literal["cpu", "gpu"], typer.Option(help="Machine to train on.")] = "cpu",
    steps: Annotated[int | None, typer.Option(help="Length of the run, if not the setting's.")] = None,
    start: Annotated[Path | None, typer.Option(help="best.safetensors of an earlier run, to start from.")] = None,
    every: Annotated[int, typer.Option(help="Steps between checks and checkpoints.")] = 250,
    minutes: Annotated[float, typer.Option(help="Stop (resumably) after this long.")] = 1e9,
    encoder: Annotated[str | None, typer.Option(help="Wav2Vec2, HuBERT, WavLM or XLS-R: hub name or folder.")] = None,
    layer: Annotated[int | None, typer.Option(help="Use its first layers only, as many as this.")] = None,
    frozen: Annotated[bool, typer.Option(help="Leave the encoder as it is.")] = False,
) -> None:
    """Train, or go on training."""
    config = SETTINGS[setting] if steps is None else replace(SETTINGS[setting], num_steps=steps)
    if encoder is not None:
        heard = replace(config.model.encoder, checkpoint=encoder, layer=layer, frozen=frozen)
        config = replace(config, model=replace(config.model, encoder=heard, recogniser=None))
    run.mkdir(parents=True, exist_ok=True)
    shape = read_face(face)
    tracks, val = read_training(data, shape), read_validation(data, shape)
    labels = load_file(phonemes)["phonemes"] if phonemes else torch.zeros(2 * tracks.offsets[-1], 0)
    clips, held_out = permissive_clips(tracks, labels), unseen_speakers(tracks)
    torch.manual_seed(config.seed)
    network = SpeechToMouth(config.model)
    network.read_face(shape)
    if network.recogniser is not None:
        fill(network.recogniser)
    if start is not None:
        network.load_state_dict(load_file(start))
    sampler = BatchSampler(clips, config.num_frames, config.batch_size, config.seed, config.balance)
    shapes = displacement_shapes(shape.expression_basis[: config.model.num_mouth])
    trainer = Trainer(network, sampler, shapes, config)
    if (run / "training.json").exists():
        trainer.resume(run)
    best = max((json.loads(line)["unseen_correlation"] for line in _lines(run / "log.jsonl")), default=-1.0)
    begun, losses = time.monotonic(), []
    while trainer.step < config.num_steps and time.monotonic() - begun < 60 * minutes:
        losses.append(trainer.train_step())
        if trainer.step % every == 0 or trainer.step == config.num_steps:
            figure, figures = check(trainer, tracks, held_out, val)
            log(run, {"step": trainer.step, "loss": sum(losses) / len(losses), **figures,
                      "minutes": (time.monotonic() - begun) / 60})  # fmt: skip
            losses = []
            trainer.save(run)
            save_file(trainer.average, run / "last.safetensors")
            if figure > best:
                best = figure
                save_file(trainer.average, run / "best.safetensors")


@app.command()
def ship(
    data: Data,
    face: Face,
    run: Annotated[list[Path], typer.Option(help="Folder of a run; weights of several runs are averaged.")],
    output: Output = WEIGHTS,
) -> None:
    """Calibrate a run's weights, add liveliness and write the embedded model."""
    shape = read_face(face)
    tracks = read_training(data, shape)
    life, bounds = life_tracks(tracks)
    log = run[0] / "training.json"
    record = json.loads(log.read_text())["config"]["model"]
    config = replace(parse_config(record, log), num_life_clips=len(bounds) - 1, num_life_frames=len(life))
    model = AudioToMotion(config)
    runs = [load_file(folder / "last.safetensors") for folder in run]
    model.mouth.load_state_dict({name: sum(one[name] for one in runs) / len(runs) for name in runs[0]})
    others = unseen_speakers(tracks)
    judged = tracks if others else read_validation(data, shape)
    fit_contrast(model.eval().mouth, judged, others or list(range(len(judged))))
    model.life_tracks.copy_(life)
    model.life_bounds.copy_(bounds)
    model.life_mirror.copy_(mirror_signs(shape))
    model.brow_lift.copy_(brow_lift(shape))
    save(model, output)
    print(
        f"{output}: contrast {float(model.mouth.contrast):.3f}, {sum(p.numel() for p in model.parameters()):,} weights"
    )


@app.command()
def measure(data: Data, face: Face, weights: Weights = WEIGHTS) -> None:
    """Measure a finished model on people it never met, and print a table."""
    model, shape = AudioToMotion.from_pretrained(weights), read_face(face)
    tracks, val = read_training(data, shape), read_validation(data, shape)
    for title, source, clips in (("unseen", tracks, unseen_speakers(tracks)), ("val", val, list(range(len(val))))):
        if not clips:
            continue
        scores = score(model.mouth, source, clips, partial(_performed, model, source))
        for clip, one in zip(clips, scores, strict=True):
            _row(f"{source.names[clip]} {source.identities[clip]}", one)
        _row(f"median of {len(clips)} {title}", summarise(scores))
    everyone = list(range(len(val)))
    _row(f"median of {len(val)} val, live", summarise(score(model.mouth, val, everyone, partial(_live, model, val))))
    print(describe_live(model, val))
    print(f"closed in silence: {closed_in_silence(model, val):.1%} of frames")
    if others := unseen_speakers(tracks):
        print("\n".join(describe_closures(model, tracks, others)))
    drawn = list(drawn_idle_motion(model, torch.cat([sound_of(val, clip) for clip in range(len(val))])))
    print("\n".join(describe_idle_motion(drawn, [*real_idle_motion(tracks, shape), *real_idle_motion(val, shape)])))


def closed_in_silence(model: AudioToMotion, tracks: SpeechTracks) -> float:
    """Put a quiet second between every two clips and return the share of its frames whose lips are closed."""
    pause = hiss(SAMPLE_RATE, ROOM_DB, torch.Generator().manual_seed(0))
    closed = []
    for clip in range(len(tracks)):
        sound = sound_of(tracks, clip)
        ratio = model.generate(torch.cat([sound, pause, sound])).lip_ratio[:, 0]
        first = len(sound) // FRAME_SAMPLES
        closed.append(ratio[first + SETTLED : first + FRAME_RATE - SETTLED] < CLOSED_RATIO)
    return float(torch.cat(closed).float().mean())


def describe_closures(model: AudioToMotion, tracks: SpeechTracks, clips: list[int]) -> list[str]:
    """Compare how lips close on p, b and m with how the speakers' own do; eyes are one unit apart in the head frame."""
    sounds = [sound_of(tracks, clip) for clip in clips]
    real = [tracks.opening[tracks.offsets[clip] : tracks.offsets[clip + 1]].numpy() for clip in clips]
    return compare_with_real(sounds, real, [opening_of(model.generate(sound)) for sound in sounds])


def _performed(model: AudioToMotion, tracks: SpeechTracks, clip: int) -> Tensor:
    return model.generate(sound_of(tracks, clip)).expression[:, : model.config.num_mouth]


def _live(model: AudioToMotion, tracks: SpeechTracks, clip: int) -> Tensor:
    """Perform a clip as if it were just spoken."""
    stream = model.streaming()
    parts = stream.push(sound_of(tracks, clip)) + stream.finish()
    return torch.cat([part.expression[:, : model.config.num_mouth] for part in parts])


@torch.inference_mode()
def describe_live(model: AudioToMotion, tracks: SpeechTracks) -> str:
    """Compare the lips of live performances with those of offline ones, in one line."""
    agreements, differences = [], []
    for clip in range(len(tracks)):
        live, offline = (model.mouth.lip_ratio(mouth(model, tracks, clip))[:, 0] for mouth in (_live, _performed))
        agreements.append(pearson(live, offline))
        differences.append(float((live - offline).abs().mean()))
    return (
        f"live against offline lips: r {median(agreements):.2f}, worst {min(agreements):.2f}; "
        f"difference {median(differences):.3f}, worst {max(differences):.3f}"
    )


def _row(name: str, one: LipScore) -> None:
    figures = f"r {one.correlation:5.2f}  best {one.best:5.2f} at {one.lag:+d}  amplitude {one.amplitude:4.2f}"
    print(f"{name:38} {figures}  width r {one.width:5.2f}")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    app()
