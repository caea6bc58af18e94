#!/usr/bin/env python3
"""wharf copy against s5cmd, rclone and juicefs sync on one local S3 server (SeaweedFS), in one run.

    make bench                      # all jobs, 5 rounds, writes bench/RESULTS.md
    bench/copy.py --jobs small-up --rounds 3 --no-write

Rounds are interleaved (every client once, then again), so that a noisy minute hits all alike. For each client the
median wall time, client CPU seconds (user + system, from wait4) and the largest peak RSS are kept. Nothing here asserts.
"""
import argparse
import json
import os
import pathlib
import platform
import random
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".cache" / "venv" / "bin"
WORK = pathlib.Path(os.environ.get("WHARF_BENCH_WORK", ROOT / "bench" / "work"))
LATER = []  # folders that are removed at the end
KEY, SECRET = "AKIDBENCH", "bench-secret-key"


def free_port():
    """A free port whose neighbour 10000 higher is free too (SeaweedFS listens there as well)."""
    while True:
        port = random.randrange(12_000, 30_000)
        try:
            for p in (port, port + 10_000):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", p))
            return port
        except OSError:
            continue


class Weed:
    """SeaweedFS, one process, signatures on."""

    def __init__(self):
        self.dir = WORK / "weed"
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        self.port = free_port()
        conf = WORK / "s3.json"
        conf.write_text(json.dumps({"identities": [{"name": "bench", "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                                                    "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}))
        ports = {n: free_port() for n in ("master", "volume", "filer")}
        cmd = [str(VENV / "weed"), "server", f"-dir={self.dir}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={ports['master']}",
               f"-volume.port={ports['volume']}", "-volume.max=2000", "-master.volumeSizeLimitMB=1024", "-filer", f"-filer.port={ports['filer']}",
               "-s3", f"-s3.port={self.port}", f"-s3.config={conf}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        self.process = subprocess.Popen(cmd, stdout=open(WORK / "weed.log", "w"), stderr=subprocess.STDOUT, start_new_session=True)
        self.url = f"http://127.0.0.1:{self.port}"
        self.master = f"http://127.0.0.1:{ports['master']}"
        self.wait()

    def wait(self):
        deadline = time.time() + 60
        while time.time() < deadline:
            r = subprocess.run([str(VENV / "s5cmd"), "--endpoint-url", self.url, "ls"], env=environment(self), capture_output=True)
            if r.returncode == 0:
                return
            time.sleep(0.5)
        sys.exit("SeaweedFS did not start; see bench/work/weed.log")

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def vacuum(self):
        """Gives the space of deleted objects back to the disk: 20 uploads of 4 GiB would not find room otherwise."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(f"{self.master}/vol/vacuum?garbageThreshold=0.01", timeout=120).read()


def environment(weed):
    env = dict(os.environ, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_REGION="us-east-1",
               RCLONE_CONFIG_W_TYPE="s3", RCLONE_CONFIG_W_PROVIDER="SeaweedFS", RCLONE_CONFIG_W_ENDPOINT=weed.url,
               RCLONE_CONFIG_W_ACCESS_KEY_ID=KEY, RCLONE_CONFIG_W_SECRET_ACCESS_KEY=SECRET)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        env.pop(name, None)
    return env


def commands(weed, big):
    """client → (upload, download) argument lists from (directory, prefix)."""
    host = weed.url.removeprefix("http://")
    wharf = [str(ROOT / "target" / "release" / "wharf"), "copy", "--quiet", "--endpoint-url", weed.url]
    s5 = [str(VENV / "s5cmd"), "--log", "error", "--endpoint-url", weed.url] + ([] if big else ["--numworkers", "32"]) + ["cp"]
    rc = [str(VENV / "rclone"), "copy", "--transfers", "4" if big else "32", "--checkers", "32", "--s3-no-check-bucket"]
    jfs = [str(VENV / "juicefs"), "sync", "--no-https", "--threads", "10" if big else "32"]
    return {
        "wharf": (lambda d, p: wharf + [f"{d}/", f"s3://bench/{p}/"], lambda d, p: wharf + [f"s3://bench/{p}/", f"{d}/"]),
        "s5cmd": (lambda d, p: s5 + [f"{d}/", f"s3://bench/{p}/"], lambda d, p: s5 + [f"s3://bench/{p}/*", f"{d}/"]),
        "rclone": (lambda d, p: rc + [f"{d}/", f"w:bench/{p}"], lambda d, p: rc + [f"w:bench/{p}", f"{d}/"]),
        "juicefs sync": (lambda d, p: jfs + [f"{d}/", f"minio://{KEY}:{SECRET}@{host}/bench/{p}/"],
                         lambda d, p: jfs + [f"minio://{KEY}:{SECRET}@{host}/bench/{p}/", f"{d}/"]),
    }


def timed(argv, env, weed):
    """(wall s, client CPU s, peak RSS MiB, server CPU s); raises when the client fails."""
    server = weed.cpu()
    start = time.monotonic()
    p = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(WORK / "client.log", "w"))
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - start
    if status:
        raise RuntimeError(f"{argv[0]} failed: {(WORK / 'client.log').read_text()[-2000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, weed.cpu() - server


def attempt(argv, env, weed):
    """(figures, None), or (None, why the client failed): a peer that can't do the job is left out and named."""
    try:
        return timed(argv, env, weed), None
    except RuntimeError as e:
        return None, " ".join(str(e).split())[-240:]


def make_small(folder, count=20_000, size=4096):
    if folder.exists():
        return
    rng = random.Random(1)
    for i in range(count):
        d = folder / f"{i // 100:03d}"
        d.mkdir(parents=True, exist_ok=True)
        (d / f"f{i:05d}").write_bytes(rng.randbytes(size))


def make_big(folder, count=4, size=1 << 30):
    if folder.exists():
        return
    folder.mkdir(parents=True)
    block = random.Random(2).randbytes(1 << 24)
    for i in range(count):
        with open(folder / f"big{i}", "wb") as f:
            for j in range(size // len(block)):
                f.write(bytes([i, j % 256]) + block[2:])


def make_mixed(folder):
    """A real tree: what this machine has under /usr/share/doc, /usr/lib/python3 and /usr/include, without links."""
    if folder.exists():
        return
    for source in ("/usr/share/doc", "/usr/share/perl", "/usr/include", "/usr/lib/gcc"):
        if os.path.isdir(source):
            shutil.copytree(source, folder / source.strip("/").replace("/", "-"), symlinks=True, ignore_dangling_symlinks=True)
    # Deepest first: object stores have neither links nor empty directories that every client keeps.
    for path in sorted(folder.rglob("*"), key=lambda p: len(p.parts), reverse=True):
        if path.is_symlink():
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def tree_size(folder):
    files = [p for p in folder.rglob("*") if p.is_file()]
    return len(files), sum(p.stat().st_size for p in files)


def compare(a, b):
    r = subprocess.run(["diff", "-rq", "--no-dereference", str(a), str(b)], capture_output=True, text=True)
    return r.returncode == 0, r.stdout[:500]


def run_job(weed, name, source, big, rounds, clients):
    env = environment(weed)
    up = name.endswith("up")
    files, size = tree_size(source)
    table = {c: [] for c in clients}
    failed = {}
    if not up:
        seed = commands(weed, big)["s5cmd"][0](source, f"{name}-source")
        subprocess.run(seed, env=env, check=True, stdout=subprocess.DEVNULL)
    for r in range(rounds):
        # Another client comes first in each round: none has the place after the pause every time.
        turn = r % len(clients)
        for client in [c for c in clients[turn:] + clients[:turn] if c not in failed]:
            argv = commands(weed, big)[client][0 if up else 1]
            if up:
                prefix = f"{name}-{client.split()[0]}-{r}"
                figures, why = attempt(argv(source, prefix), env, weed)
                subprocess.run([str(VENV / "s5cmd"), "--log", "error", "--endpoint-url", weed.url, "rm", f"s3://bench/{prefix}/*"], env=env,
                               stdout=subprocess.DEVNULL, check=False)
                if big:
                    weed.vacuum()
            else:
                target = WORK / f"down-{name}-{client.split()[0]}-{r}"
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir()
                os.sync()
                figures, why = attempt(argv(target, f"{name}-source"), env, weed)
                if r == 0 and figures:
                    same, differs = compare(source, target)
                    why = why if same else f"the downloaded tree differs: {differs}"
                # ext4 looks at each inode that was deleted in the last minutes before it makes a new one: thousands of them would cost the
                # next client seconds. Trees of small files stay until the end of the bench.
                (shutil.rmtree if big else LATER.append)(target)
            if why:
                failed[client] = why
                print(f"{name:10} round {r + 1} {client:13} {why}", flush=True)
                continue
            table[client].append(figures)
            print(f"{name:10} round {r + 1} {client:13} wall {figures[0]:7.2f} s  cpu {figures[1]:6.2f} s  rss {figures[2]:5.0f} MiB  server cpu {figures[3]:6.2f} s",
                  flush=True)
    return {"job": name, "files": files, "bytes": size, "rows": table, "failed": failed}


def render(results, rounds):
    out = [f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}; SeaweedFS on the same machine; medians of {rounds}, interleaved.", ""]
    for r in results:
        n, size = r["files"], r["bytes"]
        out += [f"### {r['job']}: {n:,} files, {size / 1e6:,.0f} MB", "",
                "| client | wall s | files/s | MB/s | client CPU s | peak RSS MiB | server CPU s |", "|---|---|---|---|---|---|---|"]
        whole = {c: v for c, v in r["rows"].items() if v and c not in r["failed"]}
        med = {c: [statistics.median(x[i] for x in v) for i in (0, 1, 3)] + [max(x[2] for x in v)] for c, v in whole.items()}
        for c, (wall, cpu, server, rss) in med.items():
            out.append(f"| {c} | {wall:.2f} | {n / wall:,.0f} | {size / wall / 1e6:,.0f} | {cpu:.2f} | {rss:.0f} | {server:.1f} |")
        peers = {c: v for c, v in med.items() if c != "wharf"}
        if "wharf" in med and peers:
            best_wall, best_cpu = min(peers, key=lambda c: peers[c][0]), min(peers, key=lambda c: peers[c][1])
            out += ["", *(f"Left out: {c} ({why})." for c, why in r["failed"].items())] if r["failed"] else []
            out += ["", f"**Ratio**: {peers[best_wall][0] / med['wharf'][0]:.2f} × the speed of {best_wall}, "
                        f"{med['wharf'][1] / peers[best_cpu][1]:.2f} × the CPU of {best_cpu}.", ""]
    return "\n".join(out)


JOBS = {"small-up": ("small", False), "small-down": ("small", False), "big-up": ("big", True), "big-down": ("big", True),
        "mixed-up": ("mixed", False), "mixed-down": ("mixed", False)}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--jobs", default=",".join(JOBS))
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--clients", default="wharf,s5cmd,rclone,juicefs sync")
    ap.add_argument("--no-write", action="store_true", help="print only")
    args = ap.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    results = []
    for job in args.jobs.split(","):
        kind, big = JOBS[job]
        source = WORK / kind
        {"small": make_small, "big": make_big, "mixed": make_mixed}[kind](source)
        weed = Weed()
        try:
            subprocess.run([str(VENV / "s5cmd"), "--endpoint-url", weed.url, "mb", "s3://bench"], env=environment(weed), check=True, stdout=subprocess.DEVNULL)
            results.append(run_job(weed, job, source, big, args.rounds, args.clients.split(",")))
        finally:
            weed.stop()
        text = render(results[-1:], args.rounds)
        print("\n" + text, flush=True)
        if not args.no_write:
            sys.path.insert(0, str(ROOT / "bench"))
            from results import write_section
            write_section(job, text)
    for folder in LATER:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
