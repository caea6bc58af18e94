#!/usr/bin/env python3
"""1,000,000 keys under one prefix: wharf copy puts them into a bucket over HTTP, then lists and compares them.

    bench/million.py [--keys 1000000] [--no-write]

What is measured is memory: the largest peak RSS of the client while it copies, and while a second run finds nothing to
do. The S3 server is the embedded one (a general server needs 40 minutes for the puts alone on two cores).
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = pathlib.Path(os.environ.get("WHARF_BENCH_WORK", ROOT / "bench" / "work")) / "million"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def make(folder, keys):
    for i in range(keys):
        d = folder / f"{i // 1000:04d}"
        if i % 1000 == 0:
            d.mkdir(parents=True)
        (d / f"f{i:07d}").write_bytes(b"%d" % i)


def timed(argv, env):
    start = time.monotonic()
    p = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    out = p.stdout.read()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if status:
        sys.exit(f"{argv} failed: {out[-2000:]}")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--keys", type=int, default=1_000_000)
    ap.add_argument("--no-write", action="store_true", help="print only")
    args = ap.parse_args()
    shutil.rmtree(WORK, ignore_errors=True)
    source, store = WORK / "source", WORK / "store"
    store.mkdir(parents=True)
    make(source, args.keys)
    server = subprocess.Popen([str(TARGET / "release" / "examples" / "serve"), str(store), "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    url = "http://" + server.stdout.readline().strip()
    env = dict(os.environ, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test-secret", AWS_REGION="us-east-1")
    (store / "bench").mkdir(exist_ok=True)
    argv = [str(TARGET / "release" / "wharf"), "copy", "--json", "--endpoint-url", url, f"{source}/", "s3://bench/keys/"]
    rows = []
    try:
        for what in ("copy", "list and compare, nothing to do"):
            wall, cpu, rss, out = timed(argv, env)
            rows.append((what, wall, cpu, rss))
            print(f"{what}: {wall:.1f} s, {cpu:.1f} CPU s, peak RSS {rss:.0f} MiB\n{out[-400:]}", flush=True)
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(WORK, ignore_errors=True)
    text = "\n".join([f"### {args.keys:,} keys under one prefix", "",
                      "Files of up to 7 bytes in 1,000 directories, the embedded S3 server on the same machine.", "",
                      "| what | wall s | client CPU s | peak RSS MiB |", "|---|---|---|---|",
                      *(f"| {w} | {a:.1f} | {c:.1f} | {r:.0f} |" for w, a, c, r in rows)])
    print(text)
    if not args.no_write:
        sys.path.insert(0, str(ROOT / "bench"))
        from results import write_section
        write_section("million", text)


if __name__ == "__main__":
    main()
