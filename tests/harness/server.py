"""A `wharf serve` under test: configuration, start, stop, kill -9, and clients of the official SDKs."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

from harness import peers

ACCOUNT = {
    "name": "test", "access_key_id": "AKIDTEST", "access_key_secret": "sk-test-secret", "app_id": "1250000000", "operator": True,
}


def _value(value) -> str:
    """A TOML value. JSON's strings, numbers, booleans and flat lists are TOML's."""
    return json.dumps(value, ensure_ascii=True)


def configuration(data_dir: Path, *, filesystems=(), object_stores=(), accounts=(ACCOUNT,), address="127.0.0.1:0", sections=None, extra="") -> str:
    """The text of a wharf.toml. The one place in the tests that knows its keys."""
    def entries(table):
        return [f"{key} = {_value(value)}" for key, value in table.items() if value is not None]

    sections = {"listen": {}, **(sections or {})}
    sections["listen"] = {"address": address, **sections["listen"]}
    lines = [f"data_dir = {_value(str(data_dir))}"]
    for name, table in sections.items():
        lines += [f"[{name}]", *entries(table)]
    for name, tables in (("account", accounts), ("filesystem", filesystems), ("object_store", object_stores)):
        for table in tables:
            lines += [f"[[{name}]]", *entries(table)]
    return "\n".join(lines) + "\n" + extra


def filesystem(id: str, product: str, root: Path, **more) -> dict:
    """`product`: "cfs", "cpfs" or "cpfs-lingjun"."""
    return {"id": id, "product": product, "root": str(root), **more}


def object_store(id: str, url: str, access_key: str, secret_key: str, **more) -> dict:
    table = {
        "id": id, "url": url, "region": "us-east-1", "dialect": "s3", "path_style": True, "access_key_id": access_key,
        "access_key_secret": secret_key, "buckets": ["*"], "hosts": ["*.cos.ap-guangzhou.myqcloud.com"],
    }
    return {**table, **more}


class Wharf:
    """One server over one data folder; survives restarts."""

    access_key, secret_key = ACCOUNT["access_key_id"], ACCOUNT["access_key_secret"]

    def __init__(self, directory: Path, environment=None, database_url=None, ahead=(), **parts):
        """`database_url`: the state is kept in this PostgreSQL database instead of a file of its own. `ahead`: words of a command that runs the server."""
        self.program = peers.binary("WHARF_BIN", *peers.built("wharf"))
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data_dir = self.directory / "data"
        self.config = self.directory / "wharf.toml"
        self.log = self.directory / "wharf.log"
        self.environment = {**os.environ, "RUST_BACKTRACE": "1", **(environment or {})}
        self.parts, self.process, self.url, self.database_url, self.ahead = parts, None, "", database_url, ahead
        self.configure(**parts)
        self.start()

    def configure(self, **parts):
        """Writes the configuration anew; takes effect at the next start."""
        self.parts = parts
        if self.database_url:
            parts = {**parts, "sections": {**(parts.get("sections") or {}), "state": {"database_url": self.database_url}}}
        self.config.write_text(configuration(self.data_dir, **parts))

    def start(self, patience: float = 30):
        port = self.data_dir / "port"
        port.unlink(missing_ok=True)
        self.process = peers.spawn([*self.ahead, self.program, "serve", "--config", self.config], self.log, env=self.environment)

        def up():
            text = port.read_text().strip().rsplit(":", 1)[-1]
            self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{int(text)}"
            # Only whether it is up: who it is, the tests ask.
            context = ssl._create_unverified_context() if self.tls else None
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2, context=context) as answer:
                return answer.status == 200

        peers.wait_until("wharf", up, patience, self.process, self.log)
        return self

    def kill9(self):
        peers.end(self.process, signal.SIGKILL)

    def stop(self, seconds: float = 30):
        """Stops in an orderly way and says how long that took."""
        began = time.monotonic()
        peers.end(self.process, signal.SIGTERM, seconds)
        return time.monotonic() - began

    def restart(self):
        self.stop()
        return self.start()

    def command(self, *words, check=True, **options) -> subprocess.CompletedProcess:
        """Runs `wharf …` with the same program."""
        return subprocess.run(
            [str(self.program), *map(str, words)], capture_output=True, text=True, check=check, timeout=options.pop("timeout", 300),
            env={**self.environment, **options.pop("env", {})}, **options,
        )

    @property
    def tls(self) -> bool:
        return "tls_certificate" in ((self.parts.get("sections") or {}).get("listen") or {})

    @property
    def address(self) -> str:
        return self.url.split("://")[-1]

    def cfs(self, access_key=None, secret_key=None, sign_method=None, region="ap-guangzhou", ca=None):
        """Tencent's own client for CFS."""
        from tencentcloud.cfs.v20190719 import cfs_client
        from tencentcloud.common import credential
        from tencentcloud.common.profile.client_profile import ClientProfile
        from tencentcloud.common.profile.http_profile import HttpProfile

        profile = ClientProfile(httpProfile=HttpProfile(
            protocol=self.url.split("://")[0], endpoint=self.address, reqTimeout=30, certification=ca and str(ca)))
        if sign_method:
            profile.signMethod = sign_method
        keys = credential.Credential(access_key or self.access_key, secret_key or self.secret_key)
        return cfs_client.CfsClient(keys, region, profile)

    def ckafka(self, access_key=None, secret_key=None, sign_method=None, method="POST", region="ap-guangzhou"):
        """Tencent's own client for CKafka."""
        from tencentcloud.ckafka.v20190819 import ckafka_client
        from tencentcloud.common import credential
        from tencentcloud.common.profile.client_profile import ClientProfile
        from tencentcloud.common.profile.http_profile import HttpProfile

        profile = ClientProfile(httpProfile=HttpProfile(
            protocol=self.url.split("://")[0], endpoint=self.address, reqTimeout=60, reqMethod=method))
        if sign_method:
            profile.signMethod = sign_method
        keys = credential.Credential(access_key or self.access_key, secret_key or self.secret_key)
        return ckafka_client.CkafkaClient(keys, region, profile)

    def vpc(self, access_key=None, secret_key=None, sign_method=None, method="POST", region="ap-guangzhou"):
        """Tencent's own client for VPC."""
        from tencentcloud.common import credential
        from tencentcloud.common.profile.client_profile import ClientProfile
        from tencentcloud.common.profile.http_profile import HttpProfile
        from tencentcloud.vpc.v20170312 import vpc_client

        profile = ClientProfile(httpProfile=HttpProfile(
            protocol=self.url.split("://")[0], endpoint=self.address, reqTimeout=60, reqMethod=method))
        if sign_method:
            profile.signMethod = sign_method
        keys = credential.Credential(access_key or self.access_key, secret_key or self.secret_key)
        return vpc_client.VpcClient(keys, region, profile)

    def nas(self, access_key=None, secret_key=None, signature_algorithm=None, region="cn-hangzhou", ca=None):
        """Alibaba's own client for NAS."""
        from alibabacloud_nas20170626.client import Client
        from alibabacloud_tea_openapi.utils_models import Config

        config = Config(
            access_key_id=access_key or self.access_key, access_key_secret=secret_key or self.secret_key, region_id=region,
            endpoint=self.address, protocol=self.url.split("://")[0], read_timeout=30000, connect_timeout=5000, ca=ca and str(ca),
        )
        if signature_algorithm:
            config.signature_algorithm = signature_algorithm
        return Client(config)
