"""Figures for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The figures of one server, in a registry of its own.

    Attributes:
        registry: What `/metrics` shows.
        jobs: Finished jobs by kind and state.
        waiting: Jobs that wait or run.
        job_seconds: How long jobs ran.
        avatars: Live avatars.
        frames: Frames of avatars, by whether their picture repeats the one before.
        interruptions: Interrupted turns.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.jobs = Counter("talkinghead_jobs", "Finished jobs.", ["kind", "state"], registry=self.registry)
        self.waiting = Gauge("talkinghead_jobs_waiting", "Jobs that wait or run.", registry=self.registry)
        self.job_seconds = Histogram(
            "talkinghead_job_seconds",
            "How long jobs ran.",
            ["kind"],
            buckets=(1, 5, 15, 60, 300, 1800),
            registry=self.registry,
        )
        self.avatars = Gauge("talkinghead_avatars", "Live avatars.", registry=self.registry)
        self.frames = Counter("talkinghead_frames", "Frames of avatars.", ["picture"], registry=self.registry)
        self.interruptions = Counter("talkinghead_interruptions", "Interrupted turns.", registry=self.registry)
