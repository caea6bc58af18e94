"""A pair of devices in two network namespaces, with rules and a known generator: what flow logs are held against."""

from __future__ import annotations

import os
import shutil
import subprocess
import textwrap

from harness import peers

_count = 0


def _run(*words, check=True):
    return subprocess.run([str(w) for w in words], check=check, capture_output=True, text=True, timeout=60)


class Lab:
    """Namespace `.inner` with device `.device` (10.77.0.2), `.outer` with the other end (10.77.0.1)."""

    def __init__(self):
        global _count
        if os.geteuid() != 0:
            raise peers.Missing("network namespaces take root")
        for program in ("ip", "nft"):
            if not shutil.which(program):
                raise peers.Missing(f"{program} is not installed")
        _count += 1
        tag = f"{os.getpid() % 10000}x{_count}"
        self.inner, self.outer, self.device, self.peer = f"wfi{tag}", f"wfo{tag}", f"fi{tag}", f"fo{tag}"
        try:
            for namespace in (self.inner, self.outer):
                _run("ip", "netns", "add", namespace)
            self.plug()
        except subprocess.CalledProcessError as e:
            self.stop()
            raise peers.Missing(f"no network namespaces can be made here: {e.stderr.strip()}") from e

    def plug(self):
        """Makes the pair of devices."""
        _run("ip", "link", "add", self.device, "netns", self.inner, "type", "veth", "peer", "name", self.peer, "netns", self.outer)
        for namespace, device, address in ((self.inner, self.device, "10.77.0.2/24"), (self.outer, self.peer, "10.77.0.1/24")):
            _run("ip", "-n", namespace, "addr", "add", address, "dev", device)
            _run("ip", "-n", namespace, "link", "set", device, "up")
            _run("ip", "-n", namespace, "link", "set", "lo", "up")

    def unplug(self):
        """Removes it."""
        _run("ip", "-n", self.inner, "link", "del", self.device)

    def reject(self, port):
        """Drops UDP to this port where it comes in."""
        rules = textwrap.dedent(f"""
            table inet flowtest {{
              chain input {{ type filter hook input priority 0; policy accept; udp dport {port} drop; }}
            }}""")
        subprocess.run(["ip", "netns", "exec", self.inner, "nft", "-f", "-"], input=rules, text=True, check=True, timeout=60)

    def send(self, port, count, size=100, source=40000):
        """Sends so many datagrams of so many bytes of text from outside to 10.77.0.2."""
        program = f"""
            import socket, time
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind(("10.77.0.1", {source}))
            for n in range({count}):
                s.sendto(b"x" * {size}, ("10.77.0.2", {port}))
                if n % 50 == 49:
                    time.sleep(0.002)
        """
        _run("ip", "netns", "exec", self.outer, "python3", "-c", textwrap.dedent(program))

    def spread(self, port, first, count):
        """Two datagrams from each of so many source ports: as many flows."""
        program = f"""
            import socket
            for source in range({first}, {first + count}):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                    s.bind(("10.77.0.1", source))
                    for n in range(2):
                        s.sendto(b"x" * 100, ("10.77.0.2", {port}))
        """
        _run("ip", "netns", "exec", self.outer, "python3", "-c", textwrap.dedent(program))

    def listen(self, port):
        """A socket inside that takes what comes, so that nothing answers."""
        program = f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('10.77.0.2', {port}))\nprint('up', flush=True)\nwhile True: s.recv(65536)"
        process = subprocess.Popen(["ip", "netns", "exec", self.inner, "python3", "-c", program], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "up\n"
        return process

    def stop(self):
        for namespace in (self.inner, self.outer):
            _run("ip", "netns", "del", namespace, check=False)
