"""Flow logs end to end: real packets between network namespaces, records read back from the embedded broker."""

import json
import sqlite3
import time

from confluent_kafka import Consumer
from harness import peers
from test_vpc_sdk import call, lab, request, serve, server  # noqa: F401 (fixtures)

KEYS = ["version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end",
        "action", "log-status"]
ETHERNET_FREE = 100 + 8 + 20  # text, UDP and IPv4 headers


class Log:
    """A reader of the topic `flows`: every record once, by its identifier."""

    def __init__(self, running, boot=None):
        self.boot = boot or f"127.0.0.1:{running.parts['sections']['broker']['address'].rsplit(':', 1)[1]}"
        self.records, self.repeats = {}, 0
        self.open()

    def open(self):
        self.consumer = Consumer({"bootstrap.servers": self.boot, "group.id": "reader", "auto.offset.reset": "earliest",
                                  "enable.auto.commit": False})
        self.consumer.subscribe(["flows"])

    def read(self):
        for message in self.consumer.consume(500, 0.3):
            if message.error():
                continue
            name = dict(message.headers())["id"]
            if name in self.records:
                self.repeats += 1
                continue
            record = json.loads(message.value())
            assert list(sorted(record)) == sorted(KEYS)
            assert message.key().decode() == record["interface-id"] == "eni-12345678"
            assert record["account-id"] == "1250000000"
            self.records[name] = record
        return list(self.records.values())

    def sums(self, port, action="ACCEPT"):
        found = [r for r in self.read() if r["dstport"] == port and r["action"] == action and r["log-status"] == "OK"]
        assert all(r["srcaddr"] == "10.77.0.1" and r["dstaddr"] == "10.77.0.2" and r["protocol"] == 17 for r in found)
        return sum(r["packets"] for r in found), sum(r["bytes"] for r in found)

    def statuses(self, word):
        return [r for r in self.read() if r["log-status"] == word]


def make(server, **change):
    log = call(server.vpc(), "CreateFlowLog", **request(**change))["FlowLog"][0]["FlowLogId"]
    return log


def at_work(log):
    """Until the first window, which has nothing, was written."""
    peers.wait_until("the first window", lambda: log.read(), 60)


def test_totals_are_the_generators(server, lab):  # noqa: F811
    lab.reject(7002)
    make(server)
    log = Log(server)
    at_work(log)
    # At first the devices themselves speak (IPv6 finds its neighbours).
    peers.wait_until("a window without packets that says so", lambda: log.statuses("NODATA"), 60)
    listener = lab.listen(7001)
    try:
        lab.send(7001, 3000)
        lab.send(7002, 500)
        peers.wait_until("all accepted packets", lambda: log.sums(7001)[0] >= 3000, 60)
        peers.wait_until("all rejected packets", lambda: log.sums(7002, "REJECT")[0] >= 500, 60)
    finally:
        listener.kill()
        listener.wait(10)
    assert log.sums(7001) == (3000, 3000 * ETHERNET_FREE)
    assert log.sums(7002, "REJECT") == (500, 500 * ETHERNET_FREE)
    assert log.sums(7002) == (0, 0) and log.sums(7001, "REJECT") == (0, 0)
    assert log.repeats == 0 and not log.statuses("SKIPDATA")


def test_what_is_disabled_records_nothing(server, lab):  # noqa: F811
    client, log_id = server.vpc(), make(server)
    log = Log(server)
    at_work(log)
    call(client, "DisableFlowLogs", FlowLogIds=[log_id])
    time.sleep(3)
    lab.send(7003, 200)
    call(client, "EnableFlowLogs", FlowLogIds=[log_id])
    before = len(log.read())
    peers.wait_until("windows after it", lambda: len(log.read()) > before, 60)
    lab.send(7004, 100)
    peers.wait_until("packets after it", lambda: log.sums(7004)[0] >= 100, 60)
    assert log.sums(7003) == (0, 0)
    assert not log.statuses("SKIPDATA"), "what was not wanted is no loss"


def test_kill_loses_a_window_at_most_and_says_so(server, lab):  # noqa: F811
    make(server)
    log = Log(server)
    at_work(log)
    lab.send(7005, 1000)
    peers.wait_until("what was before", lambda: log.sums(7005)[0] >= 1000, 60)
    server.kill9()
    killed = time.time()
    server.start()
    log.consumer.close()
    log.open()
    gap = peers.wait_until("the statement of the gap", lambda: log.statuses("SKIPDATA"), 60)
    assert gap[0]["start"] <= killed <= gap[0]["end"] + 1 and gap[0]["packets"] == "-"
    assert killed - gap[0]["start"] < 10, "the gap begins at the end of the last window that was written"
    lab.send(7006, 1000)
    peers.wait_until("what was after", lambda: log.sums(7006)[0] >= 1000, 60)
    assert log.sums(7005)[0] == 1000 and log.sums(7006)[0] == 1000


def test_a_device_that_comes_back_is_observed_again(server, lab):  # noqa: F811
    make(server)
    log = Log(server)
    at_work(log)
    lab.unplug()
    time.sleep(2)
    lab.plug()
    peers.wait_until("the statement of the gap", lambda: log.statuses("SKIPDATA"), 60)
    listener = lab.listen(7007)
    try:
        time.sleep(2)
        lab.send(7007, 400)
        peers.wait_until("packets of the new device", lambda: log.sums(7007)[0] >= 400, 60)
    finally:
        listener.kill()
        listener.wait(10)
    assert log.sums(7007)[0] == 400


def state(running):
    """What the server has kept of its one flow log."""
    with sqlite3.connect(f"file:{running.data_dir / 'wharf.db'}?mode=ro", uri=True) as db:
        return json.loads(db.execute("SELECT state FROM flow_logs").fetchone()[0])


def test_a_topic_that_is_away_for_a_while(wharf, lab, kafka_broker):  # noqa: F811
    other = kafka_broker()
    running = serve(wharf, lab, other=other.boot, buffer="64KiB")
    make(running, FlowLogStorage={"StorageId": "ckafka-other", "StorageTopic": "flows"})
    log = Log(running, other.boot)
    at_work(log)
    log.consumer.close()
    other.stop()
    lab.send(7008, 500)
    peers.wait_until("the trouble to be told", lambda: state(running)["error"], 60)
    other.start()
    log.open()
    peers.wait_until("all packets, late", lambda: log.sums(7008)[0] >= 500, 90)
    assert log.sums(7008)[0] == 500 and not log.statuses("SKIPDATA"), "the buffer held everything"
    peers.wait_until("the end of the trouble", lambda: not state(running)["error"], 60)

    log.consumer.close()
    other.stop()
    for source in range(40000, 40600, 20):
        lab.spread(7009, source, 20)
    sent = 600 * 2
    other.start()
    log.open()
    peers.wait_until("the statement of the loss", lambda: log.statuses("SKIPDATA"), 90)
    lost = peers.wait_until("the count of the loss", lambda: state(running)["lost_packets"], 60)
    peers.wait_until("what was kept", lambda: log.sums(7009)[0] + state(running)["lost_packets"] >= sent, 60)
    assert 0 < log.sums(7009)[0] < sent
    shown = json.loads(running.command("flowlog", "list", "--config", running.config, "--json").stdout)["flow_logs"]
    assert shown[0]["lost_packets"] == lost and shown[0]["method"] in ("bpf", "packets"), shown
    assert "thrown away" in running.command("flowlog", "show", shown[0]["id"], "--config", running.config).stdout
    # Other packets (neighbours are looked for) may be among the lost ones.
    assert sent <= log.sums(7009)[0] + lost <= sent + 60
