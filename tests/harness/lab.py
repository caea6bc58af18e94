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
    """Namespace `.inner` with device `.device` (10.77.0.2, fd00:77::2), `.outer` with the other end (10.77.0.1, fd00:77::1)."""

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
        self.tag, self.others = tag, []
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
            six = address.replace("10.77.0.", "fd00:77::").replace("/24", "/64")
            _run("ip", "-n", namespace, "addr", "add", six, "dev", device, "nodad")
            _run("ip", "-n", namespace, "link", "set", device, "up")
            _run("ip", "-n", namespace, "link", "set", "lo", "up")

    def unplug(self):
        """Removes it."""
        _run("ip", "-n", self.inner, "link", "del", self.device)

    def rules(self, text):
        """Rules of nft inside."""
        words = ["ip", "netns", "exec", self.inner, "nft", "-f", "-"]
        subprocess.run(words, input=textwrap.dedent(text), text=True, check=True, timeout=60)

    def set(self, **values):
        """Settings of the network inside: `set(ip_forward=1)` for `net.ipv4` and `net.netfilter`."""
        for name, value in values.items():
            where = "netfilter" if name.startswith("nf_") else "ipv4"
            _run("ip", "netns", "exec", self.inner, "sysctl", "-qw", f"net.{where}.{name}={value}")

    def reject(self, port):
        """Drops UDP to this port where it comes in."""
        self.rules(f"""
            table inet flowtest {{
              chain input {{ type filter hook input priority 0; policy accept; udp dport {port} drop; }}
            }}""")

    def send(self, port, count, size=100, source=40000, to="10.77.0.2", namespace=None, own=None):
        """Sends so many datagrams of so many bytes of text, from outside (or another namespace and its address `own`)."""
        own = own or ("fd00:77::1" if ":" in to else "10.77.0.1")
        program = f"""
            import socket, time
            s = socket.socket(socket.{"AF_INET6" if ":" in to else "AF_INET"}, socket.SOCK_DGRAM)
            s.bind(("{own}", {source}))
            for n in range({count}):
                s.sendto(b"x" * {size}, ("{to}", {port}))
                if n % 50 == 49:
                    time.sleep(0.002)
        """
        _run("ip", "netns", "exec", namespace or self.outer, "python3", "-c", textwrap.dedent(program))

    def stream(self, port, size, to="10.77.0.2"):
        """Sends so many bytes over TCP; gives what the sender's kernel says that it sent: packets, and bytes of text."""
        six = ":" in to
        serve = f"""
            import socket
            l = socket.create_server(("{to}", {port}), family=socket.{"AF_INET6" if six else "AF_INET"})
            print("up", flush=True)
            c, _ = l.accept()
            while c.recv(65536): pass
            c.close()
        """
        send = f"""
            import socket, struct
            c = socket.create_connection(("{to}", {port}), 10)
            c.sendall(b"x" * {size}); c.shutdown(socket.SHUT_WR); c.settimeout(10); assert c.recv(1) == b""
            i = c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
            print(struct.unpack_from("I", i, 136)[0], struct.unpack_from("Q", i, 200)[0])
        """
        words = ["ip", "netns", "exec", self.inner, "python3", "-c", textwrap.dedent(serve)]
        server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout.readline() == "up\n"
            told = _run("ip", "netns", "exec", self.outer, "python3", "-c", textwrap.dedent(send)).stdout
            assert server.wait(20) == 0
        finally:
            server.kill()
        packets, text = map(int, told.split())
        return packets, text

    def _namespace(self, name):
        name = f"{name}{self.tag}"
        _run("ip", "netns", "add", name)
        self.others.append(name)
        _run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def gateway(self):
        """Makes `.inner` a router that hides `.outer` behind 10.78.0.1, and leads UDP to its port 5353 to port 53 behind it; `.far` (10.78.0.2)
        is what lies behind."""
        self.far = self._namespace("wff")
        _run("ip", "link", "add", f"fg{self.tag}", "netns", self.inner, "type", "veth", "peer", "name", f"fp{self.tag}", "netns", self.far)
        for namespace, device, address in ((self.inner, f"fg{self.tag}", "10.78.0.1/24"), (self.far, f"fp{self.tag}", "10.78.0.2/24")):
            _run("ip", "-n", namespace, "addr", "add", address, "dev", device)
            _run("ip", "-n", namespace, "link", "set", device, "up")
        _run("ip", "-n", self.outer, "route", "add", "10.78.0.0/24", "via", "10.77.0.2")
        self.rules(f"""
            table ip nat {{
              chain pre {{ type nat hook prerouting priority -100; udp dport 5353 dnat to 10.78.0.2:53; }}
              chain post {{ type nat hook postrouting priority 100; oifname fg{self.tag} masquerade; }}
            }}""")
        self.set(ip_forward=1)

    def bridge(self):
        """Makes a bridge `.switch` (10.79.0.1) inside, with `.left` (10.79.0.2) and `.right` (10.79.0.3) at its ports."""
        self.switch = f"fb{self.tag}"
        _run("ip", "-n", self.inner, "link", "add", self.switch, "type", "bridge")
        _run("ip", "-n", self.inner, "addr", "add", "10.79.0.1/24", "dev", self.switch)
        _run("ip", "-n", self.inner, "link", "set", self.switch, "up")
        self.left, self.right = self.port("l", 2), self.port("r", 3)

    def port(self, letter, number):
        """One more namespace at the bridge."""
        name = self._namespace(f"wf{letter}")
        _run("ip", "link", "add", f"f{letter}{self.tag}", "netns", self.inner, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "-n", self.inner, "link", "set", f"f{letter}{self.tag}", "master", self.switch, "up")
        _run("ip", "-n", name, "addr", "add", f"10.79.0.{number}/24", "dev", "eth0")
        _run("ip", "-n", name, "link", "set", "eth0", "up")
        return name

    def remove(self):
        """Removes the namespace inside, and with it the pair."""
        _run("ip", "netns", "del", self.inner)

    def make_again(self):
        """Makes it again; the kernel takes a while to let the old one go."""
        _run("ip", "netns", "add", self.inner)
        peers.wait_until("the old pair to be gone", lambda: _run("ip", "-n", self.outer, "link", "show", self.peer, check=False).returncode, 20)
        self.plug()

    def spread(self, port, first, count, to="10.77.0.2"):
        """Two datagrams from each of so many source ports: as many flows."""
        program = f"""
            import socket
            for source in range({first}, {first + count}):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                    s.bind(("10.77.0.1", source))
                    for n in range(2):
                        s.sendto(b"x" * 100, ("{to}", {port}))
        """
        _run("ip", "netns", "exec", self.outer, "python3", "-c", textwrap.dedent(program))

    def listen(self, port, own="10.77.0.2", namespace=None, echo=False):
        """A socket inside (or in another namespace) that takes what comes, so that nothing answers; `echo`: it answers with as much."""
        do = "s.sendto(*s.recvfrom(65536))" if echo else "s.recv(65536)"
        family = "AF_INET6" if ":" in own else "AF_INET"
        program = f"import socket; s = socket.socket(socket.{family}, socket.SOCK_DGRAM); s.bind(('{own}', {port}))\nprint('up', flush=True)\nwhile True: {do}"
        process = subprocess.Popen(["ip", "netns", "exec", namespace or self.inner, "python3", "-c", program], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "up\n"
        return process

    def stop(self):
        for namespace in (self.inner, self.outer, *self.others):
            _run("ip", "netns", "del", namespace, check=False)
