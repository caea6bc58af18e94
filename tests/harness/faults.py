"""The fault proxy (`crates/testkit`) as a fixture: `proxy.add("match=PUT every=3 do=status:503")`."""

from __future__ import annotations

import socket
import subprocess
from urllib.parse import urlsplit

from harness import peers


class FaultProxy:
    def __init__(self, upstream: str, mode: str = "http"):
        """`upstream` is `host:port` or a URL; `.url` and `.address` are what clients use instead."""
        program = peers.binary("FAULT_PROXY_BIN", *peers.built("fault-proxy"))
        address = urlsplit(upstream).netloc if "//" in upstream else upstream
        self.process = subprocess.Popen(
            [str(program), mode, "127.0.0.1:0", address, "127.0.0.1:0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )
        self.address, control = self.process.stdout.readline().split()
        self.url = f"http://{self.address}"
        host, port = control.split(":")
        self._control = socket.create_connection((host, int(port)), timeout=10)
        self._lines = self._control.makefile("r")

    def _say(self, command: str) -> list[str]:
        self._control.sendall(f"{command}\n".encode())
        lines = []
        while True:
            line = self._lines.readline()
            assert line, "the fault proxy is gone"
            lines.append(line.rstrip("\n"))
            assert not line.startswith("error"), line
            if line.startswith("ok"):
                return lines

    def add(self, rule: str):
        self._say(f"add {rule}")

    def only(self, rule: str):
        self.clear()
        self.add(rule)

    def clear(self):
        self._say("clear")

    def seed(self, seed: int):
        self._say(f"seed {seed}")

    def stats(self) -> dict:
        """{"requests": n, "fired": [per rule]}"""
        lines = self._say("stats")[:-1]
        return {"requests": int(lines[-1].split()[1]), "fired": [int(line.split()[2]) for line in lines[:-1]]}

    def stop(self):
        self._control.close()
        peers.end(self.process)
