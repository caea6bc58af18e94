"""The Kafka connector's own tests, which run against our broker with the others, once more against a real Apache Kafka."""

import os
import subprocess

import pytest
from harness import peers


@pytest.mark.timeout(900)
def test_the_connector_does_the_same_with_apache_kafka(apache_kafka):
    # Of the whole workspace: the test is built already, with the same features.
    command = ["cargo", "test", "--locked", "--workspace", "--test", "kafka", "--", "--test-threads=4"]
    done = subprocess.run(
        command, cwd=peers.REPO, env={**os.environ, "WHARF_TEST_KAFKA": apache_kafka.boot}, capture_output=True, text=True, timeout=880,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "SKIPPED" not in done.stdout
