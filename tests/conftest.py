"""Fixtures of the scenario tests. What they start is in `harness/`; this file only ties it to pytest."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import peers  # noqa: E402


def _start(start, *arguments):
    try:
        return start(*arguments)
    except peers.Missing as e:
        pytest.skip(str(e))


@pytest.fixture
def embedded_s3():
    """Starts our own S3 endpoint over a root: `embedded_s3(root)`."""
    started = []

    def start(root):
        started.append(_start(peers.EmbeddedS3, root))
        return started[-1]

    yield start
    for server in started:
        server.stop()
