"""Real programs that the tests run against: started on free ports, waited for, killed at the end.

A peer that is not installed raises `Missing`; fixtures turn that into a skip with the reason.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import boto3
from botocore.config import Config

REPO = Path(__file__).resolve().parents[2]
VENV = REPO / ".cache" / "venv" / "bin"


class Missing(Exception):
    """The peer can't be had here; the message says why."""


def binary(variable: str, *candidates: str | Path) -> Path:
    """A program: named by an environment variable, or the first candidate that exists."""
    if named := os.environ.get(variable):
        if Path(named).is_file():
            return Path(named)
        raise Missing(f"{variable}={named} is no file")
    for candidate in candidates:
        found = candidate if Path(candidate).is_file() else shutil.which(str(candidate))
        if found:
            return Path(found)
    raise Missing(f"none of {', '.join(str(c) for c in candidates)} is there ({variable} may name one)")


def built(name: str) -> tuple[Path, ...]:
    """Where cargo puts a program of ours, newest first."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
    found = [target / profile / name for profile in ("debug", "release")]
    return tuple(sorted((p for p in found if p.exists()), key=lambda p: -p.stat().st_mtime)) or tuple(found)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def free_ports(count: int) -> list[int]:
    """Different free ports whose neighbours 10000 higher are free too (weed listens there as well)."""
    held, ports = [], []
    try:
        while len(ports) < count:
            s, twin = socket.socket(), socket.socket()
            held += [s, twin]
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
            try:
                twin.bind(("127.0.0.1", port + 10000))
            except (OSError, OverflowError):
                continue
            ports.append(port)
    finally:
        for s in held:
            s.close()
    return ports


def wait_until(what: str, check, seconds: float = 30.0, process: subprocess.Popen | None = None, log: Path | None = None):
    """Calls `check` until it returns something true; says what it waited for, and the log's end, when it never does."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            break
        try:
            if result := check():
                return result
        except Exception as e:  # whatever the peer answers while it starts
            last = e
        time.sleep(0.05)
    tail = log.read_text(errors="replace")[-3000:] if log and log.exists() else ""
    raise AssertionError(f"{what} did not come about in {seconds} s (last: {last!r})\n{tail}")


def end(process: subprocess.Popen | None, how: int = signal.SIGTERM, seconds: float = 15.0):
    """Ends a process and its group, by force when it takes too long."""
    if process is None:
        return
    for sig, patience in ((how, seconds), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, sig)
        except (ProcessLookupError, PermissionError):
            pass
        try:
            process.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue


def spawn(command: list, log: Path, **options) -> subprocess.Popen:
    with open(log, "ab") as out:
        return subprocess.Popen(
            [str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, **options
        )


def s3_client(url: str, access_key: str, secret_key: str, region: str = "us-east-1"):
    """boto3 with path-style addressing, no retries and short patience."""
    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=region,
        config=Config(retries={"max_attempts": 1, "mode": "standard"}, s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=60),
    )


class EmbeddedS3:
    """Our own endpoint as a process of its own (`crates/embedded-s3/examples/serve.rs`)."""

    access_key, secret_key = "test", "test-secret"

    def __init__(self, root: Path):
        self.program = binary("EMBEDDED_S3_BIN", *built("examples/serve"))
        self.root, self.process = Path(root), None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.root.parent / "embedded-s3.log"
        self.start()

    def start(self):
        self.process = spawn([self.program, self.root, f"127.0.0.1:{self.port}"], self.log)
        wait_until("embedded s3", lambda: self.client().list_buckets() and True, process=self.process, log=self.log)

    def client(self):
        return s3_client(self.url, self.access_key, self.secret_key)

    def kill9(self):
        end(self.process, signal.SIGKILL)

    def stop(self):
        end(self.process)


class Weed:
    """A real SeaweedFS with its S3 gateway, signatures on."""

    access_key, secret_key, region = "weedkey", "weedsecret", "us-east-1"

    def __init__(self, directory: Path | None = None, *options: str):
        """`options` are more flags of its `server` command."""
        self.options = options
        program = binary("WHARF_TEST_WEED", VENV / "weed", "weed")
        self.own = directory is None
        self.directory = Path(directory or tempfile.mkdtemp(prefix="weed-"))
        self.log = self.directory / "weed.log"
        self.config = self.directory / "s3.json"
        self.config.write_text(
            '{"identities":[{"name":"test","credentials":[{"accessKey":"%s","secretKey":"%s"}],"actions":["Admin","Read","Write","List","Tagging"]}]}'
            % (self.access_key, self.secret_key)
        )
        self.process = None
        self.program = program
        try:
            self.start()
        except AssertionError:  # somebody may have taken a port in between
            end(self.process, signal.SIGKILL)
            self.start()

    def start(self):
        (self.directory / "data").mkdir(exist_ok=True)
        master, volume, filer, s3 = free_ports(4)
        self.url = f"http://127.0.0.1:{s3}"
        self.process = spawn(
            [
                self.program, "server", f"-dir={self.directory}/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}",
                f"-volume.port={volume}", "-volume.max=2000", "-master.volumeSizeLimitMB=256", "-filer", f"-filer.port={filer}",
                "-s3", f"-s3.port={s3}", f"-s3.config={self.config}",
                # Two catalogues on ports of their own, fixed unless switched off: a second server would end at once.
                "-s3.port.iceberg=0", "-s3.port.lance=0", *self.options,
            ],
            self.log, cwd=self.directory,
        )

        def writes():
            client = self.client()
            names = [b["Name"] for b in client.list_buckets()["Buckets"]]
            if "probe" not in names:
                client.create_bucket(Bucket="probe")
            client.put_object(Bucket="probe", Key="up", Body=b"1")
            return client.get_object(Bucket="probe", Key="up")["Body"].read() == b"1"

        wait_until("SeaweedFS", writes, 90, self.process, self.log)

    def client(self):
        return s3_client(self.url, self.access_key, self.secret_key, self.region)

    def stored(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """The content of the files under a prefix, by what follows the prefix."""
        s3 = self.client()
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = [o["Key"] for page in pages for o in page.get("Contents", ()) if not o["Key"].endswith("/")]
        return {key.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in found}

    def stop(self):
        # An orderly stop takes it 15 s and saves nothing that a test needs.
        end(self.process, signal.SIGKILL)
        if self.own:
            shutil.rmtree(self.directory, ignore_errors=True)


class Postgres:
    """A private cluster of Debian's PostgreSQL, run as the user postgres when we are root."""

    def __init__(self):
        bindir = Path(os.environ.get("WHARF_TEST_POSTGRES", "/usr/lib/postgresql/15/bin"))
        if not (bindir / "postgres").is_file():
            raise Missing(f"no PostgreSQL in {bindir}")
        self.directory = Path(tempfile.mkdtemp(prefix="wharf-pg-"))
        self.log = self.directory / "log"
        self.log.touch()
        self.as_user: list[str] = []
        if os.geteuid() == 0:
            self.as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(self.directory, "postgres")
            shutil.chown(self.log, "postgres")
        self.bindir, self.port, self.process = bindir, free_port(), None
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        made = subprocess.run(
            [*self.as_user, bindir / "initdb", "-D", self.directory / "data", "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8"],
            capture_output=True, text=True, cwd="/",
        )
        if made.returncode != 0:
            raise Missing(f"initdb failed: {made.stderr.strip()[-300:]}")
        self.start()

    def start(self):
        self.process = spawn(
            [
                *self.as_user, self.bindir / "postgres", "-D", self.directory / "data", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                "-c", f"unix_socket_directories={self.directory}", "-c", "fsync=off", "-c", "max_connections=60",
            ],
            self.log, cwd="/",
        )
        ready = [self.bindir / "pg_isready", "-q", "-U", "postgres", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until("PostgreSQL", lambda: subprocess.run(ready).returncode == 0, 60, self.process, self.log)

    def database(self, name: str) -> str:
        """Makes an empty database and returns its URL."""
        command = [self.bindir / "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name]
        subprocess.run(command, check=True, capture_output=True)
        return f"postgres://postgres@127.0.0.1:{self.port}/{name}"

    def sql(self, database: str, *texts: str) -> str:
        """Runs each text by itself; returns what the last one printed."""
        command = [self.bindir / "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", database]
        for text in texts:
            done = subprocess.run([*command, "-c", text], check=True, capture_output=True, text=True).stdout.strip()
        return done

    def stop(self):
        # The postmaster itself must hear it: killed by force it leaves shared memory behind, and runuser passes nothing on.
        try:
            os.kill(int((self.directory / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
            self.process.wait(15)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            pass
        end(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)


class MariaDb:
    """A private MariaDB with a database `wharf` and a user of that name. `options` are more flags of its daemon."""

    password = "s3cret-w0rd"

    def __init__(self, *options: str):
        daemon = binary("WHARF_TEST_MARIADBD", "/usr/sbin/mariadbd")
        self.directory = Path(tempfile.mkdtemp(prefix="wharf-my-"))
        self.log, self.port, self.process = self.directory / "log", free_port(), None
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        made = subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={self.directory}/data", "--auth-root-authentication-method=normal", "--skip-test-db", *as_root],
            capture_output=True, text=True,
        )
        if made.returncode != 0:
            raise Missing(f"mariadb-install-db failed: {made.stderr.strip()[-300:]}")
        self.process = spawn(
            [daemon, "--no-defaults", f"--datadir={self.directory}/data", f"--socket={self.directory}/s.sock", f"--port={self.port}",
             f"--pid-file={self.directory}/pid", "--bind-address=127.0.0.1", "--skip-log-bin", "--innodb-buffer-pool-size=64M",
             "--innodb-flush-log-at-trx-commit=0", *as_root, *options],
            self.log, cwd="/",
        )
        wait_until("MariaDB", lambda: self.sql("SELECT 1", "") == "1", 60, self.process, self.log)
        self.sql("CREATE DATABASE wharf CHARACTER SET utf8mb4", "")
        self.sql(f"CREATE USER wharf@'%' IDENTIFIED BY '{self.password}'; GRANT ALL ON *.* TO wharf@'%'", "")

    def sql(self, text: str, database: str = "wharf") -> str:
        command = ["mariadb", "--no-defaults", "--user=root", f"--socket={self.directory}/s.sock", "--batch", "--skip-column-names", "-e", text]
        return subprocess.run([*command, *filter(None, [database])], check=True, capture_output=True, text=True).stdout.strip()

    def stop(self):
        end(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)
