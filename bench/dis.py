#!/usr/bin/env python3
"""PutRecords and GetRecords of the DIS door: records of about 200 bytes in batches of 500, over the embedded broker.

    bench/dis.py [--records 1000000] [--rounds 3] [--partitions 4]

The client is a socket that sends requests made beforehand, with a token; so the figures are the server's. "Per core" is records per second of the
server's CPU time.
"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT / "tests")

import argparse  # noqa: E402
import base64  # noqa: E402
import http.client  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import urllib.parse  # noqa: E402

os.environ.setdefault("WHARF_BIN", str(ROOT / "target" / "release" / "wharf"))

from harness import dis  # noqa: E402

BATCH = 500


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    line = next(line for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


class Client:
    def __init__(self, wharf):
        self.connection = http.client.HTTPConnection(wharf.address, timeout=60)

    def ask(self, method, path, body=None):
        self.connection.request(method, f"/v2/{dis.PROJECT}{path}", body, {"X-Auth-Token": dis.TOKEN, "Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 201), text
        return text


def timed(wharf, work):
    """What `work` returns, wall seconds, CPU seconds of the server."""
    before, began = cpu(wharf.process.pid), time.monotonic()
    done = work()
    return done, time.monotonic() - began, cpu(wharf.process.pid) - before


def put(client, records, partitions):
    values = [json.dumps({"id": i, "host": f"h{i % 50}", "text": "x" * 150}).encode() for i in range(BATCH)]
    entries = [{"data": base64.b64encode(v).decode(), "partition_key": f"k{i}"} for i, v in enumerate(values)]
    body = json.dumps({"stream_name": "bench", "records": entries}).encode()
    for _ in range(records // BATCH):
        assert b'"failed_record_count":0' in client.ask("POST", "/records", body)
    return records // BATCH * BATCH


def get(client, partitions):
    found = 0
    for p in range(partitions):
        at = json.loads(client.ask("GET", f"/cursors?stream-name=bench&partition-id={p}&cursor-type=TRIM_HORIZON"))["partition_cursor"]
        while True:
            answer = client.ask("GET", f"/records?max_fetch_bytes=4194304&partition-cursor={urllib.parse.quote(at)}")
            count = answer.count(b'"sequence_number"')
            if not count:
                break
            found += count
            at = answer[answer.rindex(b'"next_partition_cursor":"') + 25:-2].decode()
    return found


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--records", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--partitions", type=int, default=4)
    arguments.add_argument("--print-only", action="store_true")
    given = arguments.parse_args()
    rows = {"PutRecords": [], "GetRecords": []}
    memory = []
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            wharf = dis.start(pathlib.Path(folder))
            client = Client(wharf)
            client.ask("POST", "/streams", json.dumps({"stream_name": "bench", "partition_count": given.partitions}))
            for name, work in [("PutRecords", lambda: put(client, given.records, given.partitions)), ("GetRecords", lambda: get(client, given.partitions))]:
                count, wall, used = timed(wharf, work)
                assert count == given.records // BATCH * BATCH, count
                rows[name].append((count / wall, count / max(used, 0.01)))
            memory.append(peak_mib(wharf.process.pid))
            wharf.stop()
    lines = ["| | records/s, one client | records per CPU second |", "|---|---|---|"]
    for name, found in rows.items():
        wall, per_core = (statistics.median(f[i] for f in found) for i in (0, 1))
        lines.append(f"| {name} | {wall:,.0f} | {per_core:,.0f} |")
    lines.append(f"\nMedian of {given.rounds} rounds, {given.records:,} records of about 200 bytes, batches of {BATCH}, {given.partitions} partitions; the server's peak memory was {max(memory):.0f} MiB.")
    text = "\n".join(lines)
    print(text)
    if not given.print_only:
        specification = importlib.util.spec_from_file_location("results", ROOT / "bench" / "results.py")
        results = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(results)
        results.write_section("dis", text)


if __name__ == "__main__":
    main()
