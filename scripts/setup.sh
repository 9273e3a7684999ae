# Make .venv and install the project with the extras in $1 (comma-separated, may be empty). Sourced by the other scripts.
# A second call with unchanged pyproject.toml does nothing.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$(command -v python3.11 || command -v python3.12 || command -v python3) || {
    echo "Python 3.11 or 3.12 is needed" >&2
    exit 1
}
[ -x .venv/bin/python ] || "$python" -m venv .venv
stamp=".venv/installed-${1:-plain}-$(cksum < pyproject.toml | tr ' ' '-')"
if [ ! -e "$stamp" ]; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${1:+[$1]}"
    # MediaPipe brings the OpenCV build with windows, which needs libGL; a server without it gets the one without windows.
    if ! .venv/bin/python -c "import cv2" 2> /dev/null; then
        .venv/bin/python -m pip uninstall --quiet --yes opencv-contrib-python
        .venv/bin/python -m pip install --quiet --no-deps "opencv-contrib-python-headless==4.11.*"
    fi
    touch "$stamp"
fi
