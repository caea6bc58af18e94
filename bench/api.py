#!/usr/bin/env python3
"""Signed DescribeDataFlow requests a second on one core, time from start to the first answer, idle memory.

The server is pinned to core 0, the load generator (wrk, Debian) to core 1. wrk repeats one TC3-signed request, which the
protocol allows inside its five minutes; the server verifies every one.
"""
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
WHARF = ROOT / "target" / "release" / "wharf"
KEY, SECRET = "AKIDBENCH", "bench-secret-key"


def sign(host, action, body):
    stamp = int(time.time())
    date = time.strftime("%Y-%m-%d", time.gmtime(stamp))
    mac = lambda k, m: hmac.new(k, m.encode(), hashlib.sha256).digest()
    sha = lambda b: hashlib.sha256(b).hexdigest()
    request = f"POST\n/\n\ncontent-type:application/json\nhost:{host}\n\ncontent-type;host\n{sha(body)}"
    text = f"TC3-HMAC-SHA256\n{stamp}\n{date}/cfs/tc3_request\n{sha(request.encode())}"
    key = mac(mac(mac(b"TC3" + SECRET.encode(), date), "cfs"), "tc3_request")
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "Host": host, "X-TC-Action": action, "X-TC-Version": "2019-07-19", "X-TC-Timestamp": str(stamp),
            "X-TC-Region": "ap-guangzhou",
            "Authorization": f"TC3-HMAC-SHA256 Credential={KEY}/{date}/cfs/tc3_request, SignedHeaders=content-type;host, Signature={signature}"}


def call(url, action, params):
    body = json.dumps(params).encode()
    host = url.removeprefix("http://")
    request = urllib.request.Request(url, data=body, headers=sign(host, action, body), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["Response"]


def rss(pid, key="VmRSS"):
    return int(re.search(rf"{key}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def start(folder, pin=True):
    port = folder / "data" / "port"
    port.unlink(missing_ok=True)
    began = time.monotonic()
    argv = (["taskset", "-c", "0"] if pin else []) + [str(WHARF), "serve", "--config", str(folder / "wharf.toml")]
    process = subprocess.Popen(argv, stderr=open(folder / "log", "a"))
    while True:
        try:
            url = f"http://127.0.0.1:{int(port.read_text())}"
            call(url, "DescribeDataFlow", {})
            return process, url, (time.monotonic() - began) * 1000
        except (OSError, ValueError):
            time.sleep(0.001)
        if process.poll() is not None:
            sys.exit((folder / "log").read_text())


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: scripts/setup.sh bench installs it")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wharf-api-"))
    (folder / "fs").mkdir()
    (folder / "wharf.toml").write_text(
        f'data_dir = "data"\n[listen]\naddress = "127.0.0.1:0"\n[log]\nlevel = "warn"\n[[account]]\nname = "bench"\naccess_key_id = "{KEY}"\n'
        f'access_key_secret = "{SECRET}"\noperator = true\n[[filesystem]]\nid = "cfs-bench001"\nproduct = "cfs"\nroot = "{folder}/fs"\n')
    process, _, first = start(folder)
    process.terminate()
    process.wait()
    starts, idle, rates, per_core = [], [], [], []
    for _ in range(rounds):
        process, url, ms = start(folder)
        starts.append(ms)
        time.sleep(1)
        idle.append(rss(process.pid))
        body = b"{}"
        headers = sign(url.removeprefix("http://"), "DescribeDataFlow", body)
        script = folder / "wrk.lua"
        script.write_text('wrk.method = "POST"\nwrk.body = "{}"\n' + "".join(f'wrk.headers["{k}"] = "{v}"\n' for k, v in headers.items()) +
                          'function response(s, h, b) if not b:find("TotalCount") then print("BAD " .. b) end end\n')
        used = cpu(process.pid)
        out = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", "-c16", "-d5s", "-s", str(script), url], capture_output=True, text=True).stdout
        used = cpu(process.pid) - used
        if "BAD" in out:
            sys.exit(out[:500])
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        rates.append(float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)))
        per_core.append(requests / used)
        process.terminate()
        process.wait()
    shutil.rmtree(folder)
    med = statistics.median
    text = "\n".join([
        "### The API", "",
        f"One core for the server, one for wrk (16 connections); medians of {rounds}.", "",
        "| what | wanted | measured |", "|---|---|---|",
        f"| signed DescribeDataFlow requests a second, by the wall | 5,000 | {med(rates):,.0f} |",
        f"| the same for each CPU second of the server | 5,000 | {med(per_core):,.0f} |",
        f"| start to first signed answer, ms (first start on an empty folder: {first:.0f}) | 100 | {med(starts):.0f} |",
        f"| idle RSS, MiB | 25 | {med(idle):.1f} |",
    ])
    print(text)
    sys.path.insert(0, str(ROOT / "bench"))
    from results import write_section
    write_section("api", text)


if __name__ == "__main__":
    main()
