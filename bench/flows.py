#!/usr/bin/env python3
"""Flow logs beside others on the same traffic: CPU of each packet that is captured, of each record that is collected, and what is lost.

    bench/flows.py [--rounds 3] [--parts capture,forward,memory,collect] [--seconds 10] [--keep]

capture  a pair of devices in two namespaces, a generator at a rate. wharf's capture (`flow-capture`'s example) counts in the kernel: its CPU is the
         BPF programs' run time, as the kernel measures it, and the process's; softflowd's and pmacctd's is the process's alone, without the kernel's
         copying for them.
forward  packets a second through a namespace that forwards, with and without a capture at its device; rounds interleaved.
memory   a million flows at once, with room for all of them and with room for the usual number.
collect  IPFIX to a topic of another process's broker: `wharf serve`, nfacctd, goflow2; nfcapd writes files only and stands beside as the parser's limit.

Needs root, and what `scripts/setup.sh bench` installs. A peer that isn't there is left out, with the reason.
"""
import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# In the place of this folder, whose copy.py would be taken for the library's.
sys.path[0] = str(ROOT / "tests")
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
os.environ.setdefault("WHARF_BIN", str(TARGET / "release" / "wharf"))
CAPTURE = pathlib.Path(os.environ.get("WHARF_CAPTURE_BIN", TARGET / "release" / "examples" / "capture"))

from harness import kafka, peers, server  # noqa: E402

A, B, C = "wfba", "wfbb", "wfbc"
SECTIONS = {
    "capture": "flows-capture", "forward": "flows-forward", "memory": "flows-memory", "collect": "flows-collect",
}


def write_section(name, text):
    specification = importlib.util.spec_from_file_location("results", ROOT / "bench" / "results.py")
    results = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(results)
    results.write_section(name, text)


def run(*words, check=True, **more):
    return subprocess.run([str(w) for w in words], check=check, capture_output=True, text=True, **more)


def cpu(pid):
    """CPU seconds of a process and its children that still live."""
    total = 0
    for one in [pid, *map(int, run("pgrep", "-P", pid, check=False).stdout.split())]:
        with contextlib.suppress(FileNotFoundError):
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(") ", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def peak(pid):
    """MiB of a process, and of its BPF maps."""
    rss = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024
    maps = 0
    for file in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            text = file.read_text()
            if "map_type:" in text and (found := re.search(r"memlock:\s+(\d+)", text)):
                maps += int(found[1])
    return rss, maps / 2**20


def bpf_nanoseconds(pid):
    """Run time of a process's programs, as the kernel adds it up."""
    total = 0
    for file in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            if found := re.search(r"run_time_ns:\s+(\d+)", file.read_text()):
                total += int(found[1])
    return total


@contextlib.contextmanager
def tools():
    """The generators, compiled."""
    with tempfile.TemporaryDirectory(prefix="flows-") as folder:
        folder = pathlib.Path(folder)
        for name in ("packets", "records"):
            run("gcc", "-O2", "-o", folder / name, ROOT / "bench" / "flows" / f"{name}.c")
        yield folder


@contextlib.contextmanager
def world():
    """`A` with device va, `B` with vb and wb, `C` behind it with wc."""
    names = (A, B, C)
    for name in names:
        run("ip", "netns", "del", name, check=False)
    try:
        for name in names:
            run("ip", "netns", "add", name)
            # Nothing that nobody sent.
            run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        for one, left, other, right, net in ((A, "va", B, "vb", "10.99.255"), (B, "wb", C, "wc", "10.98.0")):
            run("ip", "link", "add", left, "netns", one, "type", "veth", "peer", "name", right, "netns", other)
            for number, (name, device) in enumerate(((one, left), (other, right)), 1):
                run("ip", "-n", name, "addr", "add", f"{net}.{number}/24", "dev", device)
                run("ip", "-n", name, "link", "set", device, "up")
                run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "netns", "exec", B, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.vb.rp_filter=0")
        run("ip", "-n", B, "route", "add", "10.99.0.0/16", "via", "10.99.255.1")
        mac = run("ip", "-n", C, "-br", "link", "show", "wc").stdout.split()[2]
        run("ip", "-n", B, "neigh", "replace", "10.98.0.2", "lladdr", mac, "dev", "wb", "nud", "permanent")
        # Nobody answers: what comes is dropped before the stack looks at it.
        for name, hook in ((B, "ip daddr 10.99.255.2"), (C, "ip daddr 10.98.0.2")):
            rule = f"table inet f {{\n chain p {{ type filter hook prerouting priority -300; policy accept; {hook} udp dport 80 drop;\n }}\n}}\n"
            run("ip", "netns", "exec", name, "nft", "-f", "-", input=rule)
        yield run("ip", "-n", B, "-br", "link", "show", "vb").stdout.split()[2]
    finally:
        for name in names:
            run("ip", "netns", "del", name, check=False)


def received(namespace, device):
    return int(json.loads(run("ip", "-n", namespace, "-s", "-j", "link", "show", device).stdout)[0]["stats64"]["rx"]["packets"])


def send(tool, mac, to, packets, flows, rate):
    sent, seconds = run("ip", "netns", "exec", A, tool / "packets", "va", mac, to, packets, flows, rate).stdout.split()
    return int(sent), float(seconds)


class Ours:
    name = "wharf"

    def __init__(self, folder, flows=262_144, seconds=3600):
        self.log = folder / "capture.log"
        self.log.unlink(missing_ok=True)
        self.process = peers.spawn([CAPTURE, B, "vb", seconds, "bpf", 3_600_000, "quiet", f"flows={flows}"], self.log)
        peers.wait_until("the capture", lambda: "Attached" in self.log.read_text(), 20, self.process, self.log)
        self.bpf = bpf_nanoseconds(self.process.pid)
        self.last = 0.0

    def cost(self):
        return cpu(self.process.pid) + (bpf_nanoseconds(self.process.pid) - self.bpf) / 1e9

    def end(self):
        """Stops it with its window handed over; packets accounted, and packets stated as lost."""
        # The reading of its window is part of the cost: it is looked at until it is gone.
        until = time.monotonic() + 120
        while self.process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError, IndexError):
                self.last = max(self.last, self.cost())
            time.sleep(0.02)
        windows = re.findall(r"Window \{.*?packets: (\d+),.*?loss: Loss \{ packets: (\d+),.*?unseen: (\d+)", self.log.read_text())
        return sum(int(w[0]) for w in windows), sum(int(w[1]) + int(w[2]) for w in windows)


class Softflowd:
    name = "softflowd"

    def __init__(self, folder, **_):
        self.log = folder / "softflowd.log"
        program = peers.binary("WHARF_BENCH_SOFTFLOWD", "/usr/sbin/softflowd", "softflowd")
        self.control = folder / "softflowd.ctl"
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", B, program, "-d", "-i", "vb", "-n", "127.0.0.1:9", "-v", "10", "-m", "400000", "-c", self.control, "-p", folder / "softflowd.pid"],
            stdin=subprocess.DEVNULL, stdout=open(self.log, "wb"), stderr=subprocess.STDOUT)
        time.sleep(1.5)

    def cost(self):
        return cpu(self.process.pid)

    def end(self):
        told = run("softflowctl", "-c", self.control, "statistics", check=False).stdout
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        found = re.search(r"Packets processed: (\d+)", told)
        dropped = re.search(r"dropped by libpcap: (\d+)|(\d+) \(\d+\.\d+%\) dropped|Packets dropped.*?: (\d+)", told)
        return int(found[1]) if found else None, int(next(g for g in dropped.groups() if g)) if dropped else None


class Pmacctd:
    name = "pmacctd"

    def __init__(self, folder, **_):
        program = peers.binary("WHARF_BENCH_PMACCTD", "/usr/sbin/pmacctd", "pmacctd")
        config, self.out, self.log = folder / "pmacctd.conf", folder / "pmacctd.csv", folder / "pmacctd.log"
        self.out.unlink(missing_ok=True)
        config.write_text(
            "daemonize: false\npcap_interface: vb\nplugins: print\nplugin_buffer_size: 102400\nplugin_pipe_size: 104857600\n"
            "aggregate: src_host, dst_host, src_port, dst_port, proto\nprint_refresh_time: 5\nprint_cache_entries: 400000\nprint_output: csv\n"
            f"print_output_file: {self.out}\nprint_output_file_append: true\n")
        self.process = subprocess.Popen(["ip", "netns", "exec", B, program, "-f", config], stdin=subprocess.DEVNULL, stdout=open(self.log, "wb"),
                                        stderr=subprocess.STDOUT)
        time.sleep(1.5)

    def cost(self):
        return cpu(self.process.pid)

    def end(self):
        time.sleep(6)
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        total = 0
        if self.out.exists():
            for line in self.out.read_text().splitlines():
                cells = line.split(",")
                if cells[-2].isdigit():
                    total += int(cells[-2])
        return total or None, None


def started(kind, folder, **options):
    try:
        return kind(folder, **options)
    except peers.Missing as e:
        print(f"SKIPPED: {kind.name}: {e}")
        return None


def captured(tool, kind, packets, flows, rate):
    """One round: CPU microseconds of a packet, the share that is accounted, the rate."""
    with world() as mac:
        seconds = 4 + (packets / rate if rate else packets / 150_000)
        observer = started(kind, tool, seconds=int(seconds * 1.5) + 3)
        if observer is None:
            return None
        before = received(B, "vb")
        began = observer.cost()
        sent, took = send(tool, mac, "10.99.255.2", packets, flows, rate)
        time.sleep(2)
        cost = observer.cost() - began
        arrived = received(B, "vb") - before
        counted, lost = observer.end()
        cost = max(cost, getattr(observer, "last", 0) - began)
        return {"cpu": cost / sent * 1e6, "arrived": arrived, "counted": counted, "lost": lost, "rate": sent / took}


def middle(rows, key):
    known = [r[key] for r in rows if r[key] is not None]
    return statistics.median(known) if known else None


def figure(value, form):
    return "–" if value is None else format(value, form)


def capture(tool, options):
    run("sysctl", "-qw", "kernel.bpf_stats_enabled=1")
    lines = ["### Flow logs: packets of 100 bytes captured at a device", "",
             f"Medians of {options.rounds}, interleaved. Accounted: counted and stated as lost, of what came.", "",
             "| packets/s, flows | observer | CPU µs a packet | counted | stated as lost | accounted |", "|---|---|---|---|---|---|"]
    try:
        for rate, flows in ((50_000, 5_000), (0, 5_000), (50_000, 200_000)):
            packets = int((rate or 400_000) * options.seconds)
            found = {kind.name: [] for kind in (Ours, Softflowd, Pmacctd)}
            for _ in range(options.rounds):
                for kind in (Ours, Softflowd, Pmacctd):
                    if row := captured(tool, kind, packets, flows, rate):
                        found[kind.name].append(row)
                        print(rate, flows, kind.name, row, flush=True)
            for name, rows in found.items():
                if not rows:
                    continue
                share = [((r["counted"] or 0) + (r["lost"] or 0)) / r["arrived"] for r in rows if r["counted"] is not None]
                told = f"{middle(rows, 'rate'):,.0f}, {flows:,}"
                lines.append(f"| {told} | {name} | {middle(rows, 'cpu'):.3f} | {figure(middle(rows, 'counted'), ',.0f')} | "
                             f"{figure(middle(rows, 'lost'), ',.0f')} | {figure(statistics.median(share) * 100 if share else None, '.3f')} % |")
    finally:
        run("sysctl", "-qw", "kernel.bpf_stats_enabled=0")
    return lines


def forward(tool, options):
    rates = {"without": [], "with": []}
    packets = int(300_000 * options.seconds)
    for _ in range(options.rounds):
        for way in rates:
            with world() as mac:
                observer = Ours(tool, seconds=5 + int(packets / 100_000)) if way == "with" else None
                before = received(C, "wc")
                sent, took = send(tool, mac, "10.98.0.2", packets, 5_000, 0)
                time.sleep(0.5)
                rates[way].append((received(C, "wc") - before) / took)
                print(way, sent, f"{rates[way][-1]:,.0f}", flush=True)
                if observer:
                    os.killpg(observer.process.pid, signal.SIGKILL)
                    observer.process.wait(10)
    plain, watched = (statistics.median(rates[w]) for w in ("without", "with"))
    return ["### Flow logs: packets forwarded with a capture at the device", "",
            f"5,000 flows, as fast as the generator goes; medians of {options.rounds}, interleaved.", "",
            "| capture | packets/s forwarded |", "|---|---|", f"| none | {plain:,.0f} |", f"| wharf | {watched:,.0f} |", "",
            f"**Loss**: {100 * (1 - watched / plain):.1f} %."]


def memory(tool, _options):
    lines = ["### Flow logs: memory with a million flows at once", "", "| room for flows | counted | stated as lost | process MiB, peak | BPF maps MiB |",
             "|---|---|---|---|---|"]
    for room in (1_048_576, 262_144):
        with world() as mac:
            observer = Ours(tool, flows=room, seconds=20)
            send(tool, mac, "10.99.255.2", 1_000_000, 1_000_000, 150_000)
            maps = peak(observer.process.pid)[1]
            most = 0
            while observer.process.poll() is None:
                with contextlib.suppress(FileNotFoundError, TypeError):
                    most = max(most, peak(observer.process.pid)[0])
                time.sleep(0.2)
            counted, lost = observer.end()
            lines.append(f"| {room:,} | {counted:,} | {lost:,} | {most:.0f} | {maps:.0f} |")
            print(lines[-1], flush=True)
    return lines


# --- collectors ---


class OurCollector:
    name = "wharf"

    def __init__(self, folder, boot, port):
        extra = f'[[connection]]\nid = "ckafka-out"\nkind = "kafka"\nbootstrap = "{boot}"\n[[network]]\nid = "dcg-bench001"\nlisten = "127.0.0.1:{port}"\n'
        self.wharf = server.Wharf(folder / "wharf", sections={"flow_logs": {"window_seconds": 10, "max_flows": 1_000_000, "buffer": "1GiB"}}, extra=extra)
        self.process = self.wharf.process
        from tencentcloud.vpc.v20170312 import models

        asked = models.CreateFlowLogRequest()
        asked.from_json_string(json.dumps({
            "FlowLogName": "bench", "ResourceType": "DCG", "ResourceId": "dcg-bench001", "TrafficType": "ALL", "VpcId": "vpc-bench001",
            "StorageType": "ckafka", "FlowLogStorage": {"StorageId": "ckafka-out", "StorageTopic": "flows"}}))
        self.wharf.vpc().CreateFlowLog(asked)
        peers.wait_until("the collector", lambda: self.shown()["method"] == "exporter", 30)

    def shown(self):
        return json.loads(self.wharf.command("flowlog", "list", "--config", self.wharf.config, "--json").stdout)["flow_logs"][0]

    def settle(self, sent):
        with contextlib.suppress(AssertionError):
            peers.wait_until("all records", lambda: self.shown()["packets"] // 3 + self.shown()["lost_observed"] >= sent, 40)
        return self.shown()["packets"] // 3

    def end(self):
        self.wharf.stop()


class Nfacctd:
    name = "nfacctd"

    def __init__(self, folder, boot, port):
        program = peers.binary("WHARF_BENCH_NFACCTD", "/usr/sbin/nfacctd", "nfacctd")
        host, broker = boot.split(":")
        config, self.log = folder / "nfacctd.conf", folder / "nfacctd.log"
        config.write_text(
            f"daemonize: false\nnfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\nnfacctd_pipe_size: 33554432\nplugins: kafka\nplugin_buffer_size: 102400\n"
            "plugin_pipe_size: 104857600\naggregate: src_host, dst_host, src_port, dst_port, proto\n"
            f"kafka_broker_host: {host}\nkafka_broker_port: {broker}\nkafka_topic: flows\nkafka_refresh_time: 10\nkafka_history: 10s\nkafka_output: json\n"
            "kafka_cache_entries: 1000000\n")
        self.process = peers.spawn([program, "-f", config], self.log)
        time.sleep(2)

    def settle(self, _sent):
        time.sleep(15)
        return None

    def end(self):
        peers.end(self.process)


class Goflow2:
    name = "goflow2"

    def __init__(self, folder, boot, port):
        program = peers.binary("WHARF_BENCH_GOFLOW2", ROOT / ".cache" / "go" / "bin" / "goflow2", "goflow2")
        self.process = peers.spawn([program, "-listen", f"netflow://127.0.0.1:{port}?count=1", "-transport", "kafka", "-transport.kafka.brokers", boot,
                                    "-transport.kafka.topic", "flows", "-format", "json"], folder / "goflow2.log")
        time.sleep(2)

    def settle(self, _sent):
        time.sleep(5)
        return None

    def end(self):
        peers.end(self.process)


class Nfcapd:
    name = "nfcapd (files only)"

    def __init__(self, folder, _boot, port):
        program = peers.binary("WHARF_BENCH_NFCAPD", "/usr/bin/nfcapd", "nfcapd")
        self.files = folder / "nfcapd"
        shutil.rmtree(self.files, ignore_errors=True)
        self.files.mkdir()
        self.process = peers.spawn([program, "-p", port, "-b", "127.0.0.1", "-l", self.files, "-B", 33_554_432], folder / "nfcapd.log")
        time.sleep(1)

    def settle(self, _sent):
        time.sleep(1)
        return None

    def end(self):
        peers.end(self.process)


def socket_drops(port):
    """Datagrams that the system dropped at a port."""
    place = f":{port:04X} "
    return sum(int(line.split()[-1]) for line in pathlib.Path("/proc/net/udp").read_text().splitlines()[1:] if place in line[:40])


def collected(tool, kind, count, rate, flows):
    from confluent_kafka.admin import AdminClient, NewTopic

    broker = kafka.Embedded(tool / "broker")
    try:
        AdminClient({"bootstrap.servers": broker.boot}).create_topics([NewTopic("flows", 1, 1)])["flows"].result(30)
        port = peers.free_port()
        collector = kind(tool, broker.boot, port)
        try:
            cost = cpu(collector.process.pid)
            sent, _ = map(float, run(tool / "records", port, count, rate, flows).stdout.split())
            counted = collector.settle(int(sent))
            cost, dropped = cpu(collector.process.pid) - cost, socket_drops(port)
            return {"each": sent / cost if cost else 0, "sent": sent, "counted": counted, "dropped": dropped}
        finally:
            collector.end()
    except peers.Missing as e:
        print(f"SKIPPED: {kind.name}: {e}")
        return None
    finally:
        broker.stop()
        for name in ("broker", "wharf"):
            shutil.rmtree(tool / name, ignore_errors=True)


def collect(tool, options):
    rate, flows = 200_000, 50_000
    count, kinds = int(rate * options.seconds), (OurCollector, Nfacctd, Goflow2, Nfcapd)
    found = {kind.name: [] for kind in kinds}
    for _ in range(options.rounds):
        for kind in kinds:
            if row := collected(tool, kind, count, rate, flows):
                found[kind.name].append(row)
                print(kind.name, row, flush=True)
    lines = ["### Flow logs: IPFIX to a topic", "",
             f"{count:,} records of {flows:,} flows at {rate:,}/s, windows of 10 s, to a broker in another process; medians of {options.rounds}, interleaved. CPU is "
             "the collector's. goflow2 sums nothing up: a message for each record.", "",
             "| collector | records a CPU second | records counted | datagrams dropped at the socket |", "|---|---|---|---|"]
    for name, rows in found.items():
        if rows:
            lines.append(f"| {name} | {middle(rows, 'each'):,.0f} | {figure(middle(rows, 'counted'), ',.0f')} | {middle(rows, 'dropped'):,.0f} |")
        else:
            lines.append(f"| {name} | not there | – | – |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--parts", default=",".join(SECTIONS))
    parser.add_argument("--keep", action="store_true", help="print the tables, leave RESULTS.md as it is")
    options = parser.parse_args()
    for program in (CAPTURE, pathlib.Path(os.environ["WHARF_BIN"])):
        if not program.exists():
            sys.exit(f"{program} is not there: cargo build --release -p wharf -p flow-capture --bin wharf --example capture")
    for part in options.parts.split(","):
        with tools() as tool:
            text = "\n".join(globals()[part](tool, options))
        print(text)
        if not options.keep:
            write_section(SECTIONS[part], text)


if __name__ == "__main__":
    main()
