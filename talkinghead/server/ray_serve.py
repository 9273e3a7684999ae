"""Live avatars on several machines, through Ray Serve: every replica runs the application of `talkinghead.server.app`.

A web socket stays at one replica. If that dies, the socket is closed; clients connect again and get another replica.
Requests that a replica has to remember are left out: send portraits as data URLs, and make many videos with
`talkinghead batch --ray`.

Example:
    $ serve run talkinghead.server.ray_serve:build replicas=2 max_avatars=2
"""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from ray import serve

from talkinghead.server.app import create_app
from talkinghead.server.options import ServerOptions


def deployment(make_app: Callable[[], FastAPI], replicas: int, cpus: float = 1.0) -> Any:
    """Return a Ray Serve application.

    Args:
        make_app: Creates the application in each replica.
        replicas: The number of replicas.
        cpus: Processor cores that each needs.
    """

    @serve.deployment(
        name="avatars", num_replicas=replicas, ray_actor_options={"num_cpus": cpus}, health_check_period_s=2
    )
    @serve.ingress(make_app)
    class Avatars:
        pass

    decorated: Any = Avatars
    return decorated.bind()


def build(given: dict[str, str]) -> Any:
    """Return the application for `serve run`.

    Args:
        given: `replicas` and options of `ServerOptions`; the token is read from the environment. Ray listens where its
            own options say, so a token is needed unless that is this computer.
    """
    replicas = int(given.pop("replicas", "1"))
    options = ServerOptions(**given)  # type: ignore[arg-type]
    return deployment(lambda: create_app(options, jobs=False), replicas)
