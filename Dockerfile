# The server on a CPU:
#   docker build -t talkinghead .
#   docker run --rm -p 127.0.0.1:8000:8000 -e TALKINGHEAD_TOKEN=... --read-only --tmpfs /tmp \
#     -v talkinghead-key:/home/talkinghead/.local/share/talkinghead talkinghead
# WebRTC sends its media over UDP ports that the container does not publish: add --network host for it, or use the web
# socket.
FROM python:3.11-slim-bookworm

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libegl1 libgles2 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 talkinghead \
    && install -d -o talkinghead -m 700 /home/talkinghead/.local/share/talkinghead

WORKDIR /app
COPY pyproject.toml README.md LICENSE MANIFEST.in ./
COPY liveportrait liveportrait
COPY audio2motion audio2motion
COPY talkinghead talkinghead
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu ".[serve]" \
    && pip uninstall --yes opencv-contrib-python \
    && pip install --no-cache-dir "opencv-contrib-python-headless==4.11.*"

USER 1000
WORKDIR /home/talkinghead
ENV OMP_WAIT_POLICY=PASSIVE MALLOC_ARENA_MAX=2 PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz')"]
ENTRYPOINT ["talkinghead", "serve", "--host", "0.0.0.0"]
