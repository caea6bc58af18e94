"""Fixtures of the scenario tests. What they start is in `harness/`; this file only ties it to pytest."""

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import dis as dis_world, faults, kafka, opensearch as search, peers, server  # noqa: E402


STORES = ("sqlite", "postgresql")


def pytest_addoption(parser):
    parser.addoption("--store", choices=(*STORES, "both"), default="both", help="where servers keep their state in scenarios marked `both_stores`; "
                     "one of the two names takes it for all scenarios (default: both where marked, else SQLite)")


def pytest_configure(config):
    config.addinivalue_line("markers", "both_stores: a main scenario, run with the state in SQLite and in PostgreSQL")


def stores_of(metafunc):
    """The stores that a scenario runs over."""
    chosen = metafunc.config.getoption("--store")
    if chosen != "both":
        return (chosen,)
    return STORES if metafunc.definition.get_closest_marker("both_stores") else STORES[:1]


def pytest_generate_tests(metafunc):
    if "state" in metafunc.fixturenames and len(stores := stores_of(metafunc)) > 1:
        metafunc.parametrize("state", stores, indirect=True)


def _start(start, *arguments, **options):
    """A peer that can't be had skips the test, and says why."""
    try:
        return start(*arguments, **options)
    except peers.Missing as e:
        pytest.skip(str(e))


@pytest.fixture(scope="session")
def weed():
    """A real SeaweedFS: `.url`, `.access_key`, `.secret_key`, `.client()` (boto3)."""
    running = _start(peers.Weed)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def postgres():
    """A private PostgreSQL: `.database(name)` makes a database and returns its URL."""
    running = _start(peers.Postgres)
    yield running
    running.stop()


_bucket_count = 0


@pytest.fixture
def bucket(weed):
    """A new bucket on SeaweedFS: its name."""
    global _bucket_count
    _bucket_count += 1
    name = f"test-{_bucket_count:04d}"
    weed.client().create_bucket(Bucket=name)
    return name


@pytest.fixture
def fault_proxy():
    """`fault_proxy(upstream)` puts a proxy that does harm on command in front of a server."""
    started = []

    def start(upstream, mode="http"):
        started.append(_start(faults.FaultProxy, upstream, mode))
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()


@pytest.fixture
def embedded_s3():
    """Starts our own S3 endpoint over a root: `embedded_s3(root)`."""
    started = []

    def start(root):
        started.append(_start(peers.EmbeddedS3, root))
        return started[-1]

    yield start
    for running in started:
        running.stop()


_databases = itertools.count(1)


@pytest.fixture
def state(request):
    """`state()` is where a new server keeps its state: the URL of an empty PostgreSQL database, or None for SQLite in its
    data folder. Scenarios marked `both_stores` run over both, `--store` takes one of them for all."""
    kind = getattr(request, "param", request.config.getoption("--store"))
    if kind != "postgresql":
        return lambda: None
    running = request.getfixturevalue("postgres")
    return lambda: running.database(f"state{next(_databases)}")


@pytest.fixture
def wharf(tmp_path, state):
    """A factory of servers: `wharf(filesystems=[…], object_stores=[…])`; see `harness.server.Wharf`."""
    started = []

    def start(name="wharf", **parts):
        parts.setdefault("database_url", state())
        started.append(_start(server.Wharf, tmp_path / name, **parts))
        return started[-1]

    yield start
    for running in started:
        running.stop(10)


@pytest.fixture
def cfs_client():
    """`cfs_client(wharf)`: Tencent's own SDK client, pointed at a server."""
    return lambda running, **options: running.cfs(**options)


@pytest.fixture
def nas_client():
    """`nas_client(wharf)`: Alibaba's own SDK client, pointed at a server."""
    return lambda running, **options: running.nas(**options)


@pytest.fixture(scope="session")
def apache_kafka():
    """A real Apache Kafka: `.boot` is where clients connect."""
    running = _start(kafka.Apache)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def opensearch():
    """A real OpenSearch: `.url`, `.count(index)`."""
    running = _start(search.OpenSearch)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def embedded_kafka(tmp_path_factory):
    """`wharf serve` with its broker, as it is configured by default: `.boot` is where clients connect."""
    running = _start(kafka.Embedded, tmp_path_factory.mktemp("embedded-kafka"))
    yield running
    running.stop()


@pytest.fixture
def kafka_broker(tmp_path):
    """A factory of `wharf serve` with a broker: `kafka_broker(fsync="each", …)`; see `harness.kafka.Embedded`."""
    started = []

    def start(**options):
        started.append(_start(kafka.Embedded, tmp_path / f"broker-{len(started)}", **options))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture(params=["embedded", "apache"])
def dis(tmp_path, request):
    """A server with the DIS door: over its own broker, and over a real Apache Kafka. Streams on the latter outlive the server, so
    the account is each test's own."""
    apache = request.getfixturevalue("apache_kafka") if request.param == "apache" else None
    global _dis_count
    _dis_count += 1
    first = {**dis_world.ACCOUNTS[0], "name": f"test{_dis_count}"}
    running = _start(dis_world.start, tmp_path / "dis", apache, accounts=(first, dis_world.OTHER))
    account = first["name"]
    running.topic = lambda stream: f"dis.{account}.{stream}"
    yield running
    running.stop()


_dis_count = 0
