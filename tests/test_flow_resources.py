"""Flow logs of every kind of resource, and what may happen to them: a NAT, exporters, bridges, whole namespaces; missing rights, a namespace
that goes. Real packets and a real exporter; records are read back from the embedded broker."""

import json
import random
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from harness import peers
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from test_vpc_sdk import VPC, call, lab, request, serve  # noqa: F401 (fixtures)

TEXT = 100
UDP4, UDP6 = TEXT + 28, TEXT + 48
TRANSLATED = ["translated-srcaddr", "translated-dstaddr", "translated-srcport", "translated-dstport"]


class Records:
    """A reader of the topic `flows`: every record once, by its identifier."""

    def __init__(self, running):
        self.boot = f"127.0.0.1:{running.parts['sections']['broker']['address'].rsplit(':', 1)[1]}"
        self.records = {}
        self.open()

    def open(self):
        self.consumer = Consumer({"bootstrap.servers": self.boot, "group.id": "reader", "auto.offset.reset": "earliest",
                                  "enable.auto.commit": False})
        self.consumer.subscribe(["flows"])

    def reopen(self):
        self.consumer.close()
        self.open()

    def read(self, **want):
        """Records so far, with these values."""
        for message in self.consumer.consume(500, 0.2):
            if not message.error():
                self.records.setdefault(dict(message.headers())["id"], json.loads(message.value()))
        return [r for r in self.records.values() if all(r.get(k) == v for k, v in want.items())]

    def sums(self, **want):
        found = [r for r in self.read(**want) if r["log-status"] == "OK"]
        assert all(r["start"] <= r["end"] for r in found)
        return sum(r["packets"] for r in found), sum(r["bytes"] for r in found)

    def wait(self, packets, **want):
        peers.wait_until(f"{packets} packets of {want}", lambda: self.sums(**want)[0] >= packets, 60)
        return self.sums(**want)

    def at_work(self, interface):
        peers.wait_until("the first window", lambda: self.read(**{"interface-id": interface}), 60)

    def skipped(self, **want):
        return self.read(**{"log-status": "SKIPDATA", **want})


def make(running, kind, resource, **change):
    asked = request(ResourceType=kind, ResourceId=resource, VpcId=None if kind == "CCN" else VPC, **change)
    return call(running.vpc(), "CreateFlowLog", **asked)["FlowLog"][0]["FlowLogId"]


def shown(running, log):
    """What the operator sees of a flow log."""
    listed = json.loads(running.command("flowlog", "list", "--config", running.config, "--json").stdout)["flow_logs"]
    return next(f for f in listed if f["id"] == log)


def refused(running, kind, resource):
    with pytest.raises(TencentCloudSDKException) as caught:
        make(running, kind, resource)
    return caught.value.code, caught.value.message


def end(*processes):
    for process in processes:
        process.kill()
        process.wait(10)


# --- NAT ---


@pytest.fixture
def nat(wharf, lab):  # noqa: F811
    lab.gateway()
    return serve(wharf, lab, networks=[{"id": "nat-12345678", "vpc": VPC, "namespace": lab.inner}])


def test_both_faces_of_what_a_nat_translates(nat, lab):  # noqa: F811
    lab.set(nf_conntrack_acct=0)
    told = refused(nat, "NAT", "nat-12345678")
    assert told[0] == "UnsupportedOperation" and "nf_conntrack_acct" in told[1], "no flow log that sees nothing"
    lab.set(nf_conntrack_acct=1, nf_conntrack_udp_timeout=2, nf_conntrack_udp_timeout_stream=2)
    echo, quiet = lab.listen(9999, "10.78.0.2", lab.far, echo=True), lab.listen(53, "10.78.0.2", lab.far)
    try:
        lab.send(9999, 5, to="10.78.0.2", source=4443)
        log = make(nat, "NAT", "nat-12345678")
        records = Records(nat)
        records.at_work("nat-12345678")
        assert records.sums(srcport=4443) == (0, 0), "what was counted before is not of this flow log"
        flow = {"dstport": 9999, "srcport": 4444}
        lab.send(9999, 40, to="10.78.0.2", source=4444)
        assert records.wait(40, **flow) == (40, 40 * UDP4)
        # The same connection goes on, and is told again with what is new.
        lab.send(9999, 10, to="10.78.0.2", source=4444)
        assert records.wait(50, **flow) == (50, 50 * UDP4)
        there = records.read(**flow)
        assert len(there) >= 2 and all(r["srcaddr"] == "10.77.0.1" and r["dstaddr"] == "10.78.0.2" for r in there)
        assert all([r[k] for k in TRANSLATED] == ["10.78.0.1", "10.78.0.2", 4444, 9999] for r in there)
        assert records.wait(50, srcport=9999, dstport=4444) == (50, 50 * UDP4)
        back = records.read(srcport=9999, dstport=4444)[0]
        assert (back["srcaddr"], back["dstaddr"]) == ("10.78.0.2", "10.78.0.1")
        assert [back[k] for k in TRANSLATED] == ["10.78.0.2", "10.77.0.1", 9999, 4444]
        # To an address of the gateway, led to one behind it; and what is not translated at all.
        lab.send(5353, 30, to="10.77.0.2", source=4445)
        lab.send(7, 30, to="10.77.0.2", source=4446)
        assert records.wait(30, dstport=5353) == (30, 30 * UDP4)
        assert [records.read(dstport=5353)[0][k] for k in TRANSLATED] == ["10.78.0.1", "10.78.0.2", 4445, 53]
        # They end, without a second count.
        table = ["ip", "netns", "exec", lab.inner, "cat", "/proc/net/nf_conntrack"]
        peers.wait_until("the connections' end", lambda: "dport=9999" not in subprocess.check_output(table, text=True), 30)
        passed = len(records.read(**{"log-status": "NODATA"}))
        peers.wait_until("windows after it", lambda: len(records.read(**{"log-status": "NODATA"})) >= passed + 2, 30)
        assert records.sums(**flow)[0] == 50 and records.sums(dstport=7) == (0, 0)
        state = shown(nat, log)
        assert state["method"] == "conntrack" and any("no REJECT" in limit for limit in state["limits"])
        # The one that was there before began before anybody listened: the kernel doesn't tell its end.
        assert state["lost_observed"] <= 1
    finally:
        end(echo, quiet)


def test_events_that_overrun_are_stated_and_counts_stay_right(nat, lab):  # noqa: F811
    lab.set(nf_conntrack_acct=1, nf_conntrack_udp_timeout=300)
    log = make(nat, "NAT", "nat-12345678")
    records = Records(nat)
    records.at_work("nat-12345678")
    nat.process.send_signal(signal.SIGSTOP)
    try:
        lab.spread(9998, 20000, 20000, to="10.78.0.2")
    finally:
        nat.process.send_signal(signal.SIGCONT)
    peers.wait_until("the statement of the overrun", records.skipped, 60)
    # The events are lost, the connections are in the list.
    assert records.wait(40000, dstport=9998) == (40000, 40000 * UDP4)
    assert shown(nat, log)["lost_observed"] >= 1


# --- exporters ---


def pcap(path, began):
    """UDP with 100 bytes of text: 30 packets one way, 10 back, 20 of another flow."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IIIIII", 0xA1B2C3D4, 0x00040002, 0, 0, 65535, 1))
        for n in range(60):
            src, dst, sport, dport = ("10.0.0.1", "10.1.0.2", 4000, 80)
            if 30 <= n < 40:
                src, dst, sport, dport = dst, src, dport, sport
            elif n >= 40:
                sport = 4001
            ip = bytes([0x45, 0, 0, 128, 0, 1, 0, 0, 64, 17, 0, 0]) + socket.inet_aton(src) + socket.inet_aton(dst)
            frame = bytes(12) + b"\x08\x00" + ip + struct.pack(">HHHH", sport, dport, 108, 0) + bytes(100)
            out.write(struct.pack("<IIII", began + n // 10, n % 10 * 100_000, len(frame), len(frame)) + frame)


FLOWS = [("10.0.0.1", 4000, "10.1.0.2", 80, 30), ("10.1.0.2", 80, "10.0.0.1", 4000, 10), ("10.0.0.1", 4001, "10.1.0.2", 80, 20)]


def export(port, version, folder):
    """A real softflowd reads the file and sends what it saw."""
    try:
        program = peers.binary("WHARF_TEST_SOFTFLOWD", "/usr/sbin/softflowd", "softflowd")
    except peers.Missing as e:
        pytest.skip(str(e))
    file = folder / "packets.pcap"
    pcap(file, int(time.time()) - 100)
    words = [program, "-r", file, "-n", f"127.0.0.1:{port}", "-v", str(version), "-d"]
    done = subprocess.run(words, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr


def exported(records, times, **want):
    for src, sport, dst, dport, packets in FLOWS:
        flow = {"srcaddr": src, "srcport": sport, "dstaddr": dst, "dstport": dport, **want}
        assert records.wait(packets * times, **flow) == (packets * times, packets * times * UDP4), flow


def ipfix(kind, body, sequence):
    """A datagram of domain 77 with one set."""
    content = struct.pack(">HH", kind, len(body) + 4) + body
    return struct.pack(">HHIII", 10, 16 + len(content), int(time.time()), sequence, 77) + content


def template(number, sequence):
    fields = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (2, 4), (1, 4)]  # addresses, ports, protocol, packets, bytes
    return ipfix(2, struct.pack(">HH", number, len(fields)) + b"".join(struct.pack(">HH", *f) for f in fields), sequence)


def data(number, sequence, port, packets):
    row = bytes([10, 9, 0, 1, 10, 9, 0, 2]) + struct.pack(">HHBII", 1, port, 17, packets, packets * UDP4)
    return ipfix(number, row, sequence)


def test_exporters_from_the_request_to_the_topic(wharf, lab, tmp_path):  # noqa: F811
    port, across = peers.free_port(), peers.free_port()
    regions = ["ap-guangzhou=10.0.0.0/16", "ap-shanghai=10.1.0.0/16"]
    running = serve(wharf, lab, extra_fields=["tcp-flags", "device"], networks=[
        {"id": "dcg-12345678", "vpc": VPC, "listen": f"127.0.0.1:{port}"},
        {"id": "ccn-regions1", "listen": f"127.0.0.1:{across}", "region": "ap-guangzhou", "regions": regions},
    ])
    log, ccn = make(running, "DCG", "dcg-12345678"), make(running, "CCN", "ccn-regions1", Period=60)
    here = {"interface-id": "dcg-12345678"}
    records = Records(running)
    records.at_work("dcg-12345678")
    for number, version in enumerate((5, 9, 10)):
        export(port, version, tmp_path)
        exported(records, number + 1, **here)
    one = records.read(dstport=80)[0]
    assert one["device"] == "127.0.0.1" and one["tcp-flags"] == "-" and len(one) == 16

    # Sixteen fields between regions; a new period takes effect at once, and the window of the old one is written.
    peers.wait_until("the port of CCN", lambda: shown(running, ccn)["method"] == "exporter", 30)
    export(across, 10, tmp_path)
    call(running.vpc(), "ModifyFlowLogAttribute", FlowLogId=ccn, Period=600)
    exported(records, 1, **{"ccn-id": "ccn-regions1"})
    one = records.read(**{"ccn-id": "ccn-regions1", "srcaddr": "10.0.0.1"})[0]
    assert (one["region-id"], one["srcregionid"], one["dstregionid"]) == ("ap-guangzhou", "ap-guangzhou", "ap-shanghai")
    assert len(one) == 18 and "interface-id" not in one
    assert call(running.vpc(), "DescribeFlowLogs", FlowLogId=ccn)["FlowLog"][0]["Period"] == 600

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        # Templates outlive a server that is killed: data whose template came before it can be read.
        s.connect(("127.0.0.1", port))
        s.send(template(300, 0))
        s.send(data(300, 0, 6001, 5))
        assert records.wait(5, dstport=6001) == (5, 5 * UDP4)
        kept = running.data_dir / "templates-dcg-12345678"
        peers.wait_until("the template to be kept", lambda: " 77 300 " in kept.read_text(), 30)
        running.kill9()
        running.start()
        records.reopen()
        peers.wait_until("the collector to be back", lambda: shown(running, log)["gaps"], 60)
        peers.wait_until("the statement of the gap", lambda: records.skipped(**here), 60)
        s.send(data(300, 1, 6002, 7))
        assert records.wait(7, dstport=6002) == (7, 7 * UDP4)

        # Ten thousand datagrams that mean nothing: counted, stated, and no flow.
        chance, before, flows = random.Random(5), shown(running, log)["lost_observed"], len(records.read())
        for number in range(10_000):
            version = (b"\xff\xff", b"\x00\x09", b"\x00\x0a", b"\x00\x05")[number % 4]
            s.send(version + (chance.randbytes(300) if number % 4 == 0 else bytes(chance.randrange(0, 14))))
            if number % 100 == 99:
                time.sleep(0.002)
        peers.wait_until("all of them to be counted", lambda: shown(running, log)["lost_observed"] - before >= 10_000, 60)
        s.send(data(300, 2, 6003, 9))
        assert records.wait(9, dstport=6003) == (9, 9 * UDP4)
    assert [r["dstport"] for r in list(records.records.values())[flows:] if r["log-status"] == "OK"] == [6003]
    export(port, 10, tmp_path)
    exported(records, 4, **here)


# --- bridges, subnets, namespaces ---


def test_a_bridge_counts_each_packet_once(wharf, lab):  # noqa: F811
    lab.bridge()
    running = serve(wharf, lab, networks=[
        {"id": "subnet-switch01", "vpc": VPC, "namespace": lab.inner, "devices": [lab.switch]},
        {"id": "subnet-cable001", "vpc": VPC, "namespace": lab.inner, "devices": [lab.device], "prefixes": ["10.77.0.0/24"]},
        {"id": "vpc-subnets1", "namespace": lab.inner, "subnets": ["subnet-switch01", "subnet-cable001"]},
        {"id": "vpc-whole001", "namespace": lab.inner},
    ])
    lab.reject(7100)
    names = ["subnet-switch01", "vpc-subnets1", "vpc-whole001"]
    logs = [make(running, "SUBNET" if n.startswith("subnet") else "VPC", n) for n in names]
    records = Records(running)
    for name in names:
        records.at_work(name)
    sockets = [lab.listen(7101, "10.79.0.3", lab.right), lab.listen(7102, "10.79.0.1"), lab.listen(7103, "10.79.0.2", lab.left), lab.listen(7104)]
    try:
        left = {"namespace": lab.left, "own": "10.79.0.2"}
        lab.send(7101, 300, to="10.79.0.3", **left)  # from port to port
        lab.send(7102, 200, to="10.79.0.1", **left)  # to the bridge's own address
        lab.send(7103, 100, to="10.79.0.2", namespace=lab.inner, own="10.79.0.1")  # from it
        lab.send(7100, 50, to="10.79.0.1", **left)  # dropped there
        lab.send(7104, 20)  # by the other subnet's device
        # A port that comes later.
        late = lab.port("z", 4)
        sockets.append(lab.listen(7105, "10.79.0.4", late))
        time.sleep(1)
        lab.send(7105, 60, to="10.79.0.4", **left)
        for name in names:
            for port, packets in ((7101, 300), (7102, 200), (7103, 100), (7105, 60)):
                flow = {"interface-id": name, "dstport": port, "action": "ACCEPT"}
                assert records.wait(packets, **flow) == (packets, packets * UDP4), flow
            dropped = {"interface-id": name, "dstport": 7100}
            assert records.wait(50, **dropped, action="REJECT") == (50, 50 * UDP4)
            assert records.sums(**dropped, action="ACCEPT") == (0, 0)
        # The device of the other subnet has an identifier of its own; two flow logs have it.
        cable = {"interface-id": "eni-12345678", "dstport": 7104}
        assert records.wait(40, **cable) == (40, 40 * UDP4)
        assert {shown(running, log)["error"] for log in logs} == {None}
    finally:
        end(*sockets)


# --- what may happen ---


def test_tcp_and_ipv6_with_more_fields_and_the_state_in_postgresql(wharf, lab, postgres):  # noqa: F811
    state = {"database_url": postgres.database("flow_logs")}
    running = serve(wharf, lab, state=state, extra_fields=["flow-direction", "tcp-flags", "drop-reason", "device"])
    lab.reject(7201)
    log = make(running, "NETWORKINTERFACE", "eni-12345678")
    records = Records(running)
    records.at_work("eni-12345678")
    inward = {"flow-direction": "in"}
    for to, own, port, headers in (("10.77.0.2", "10.77.0.1", 7202, 52), ("fd00:77::2", "fd00:77::1", 7203, 72)):
        packets, text = lab.stream(port, 500_000, to)
        # The first packet has 8 bytes more of options than the others.
        assert records.wait(packets, dstport=port, **inward) == (packets, text + packets * headers + 8), to
        flags = 0
        for r in records.read(dstport=port, **inward):
            assert (r["srcaddr"], r["dstaddr"], r["device"], r["drop-reason"]) == (own, to, lab.device, "-")
            flags |= r["tcp-flags"]
        assert flags & 0x13 == 0x13, "SYN, ACK and FIN"
    six = lab.listen(7204, "fd00:77::2")
    try:
        lab.send(7204, 70, to="fd00:77::2")
        lab.send(7201, 30, to="fd00:77::2")
        assert records.wait(70, dstport=7204) == (70, 70 * UDP6)
        assert records.wait(30, dstport=7201, action="REJECT") == (30, 30 * UDP6)
        assert records.read(dstport=7201)[0]["drop-reason"] == "NETFILTER_DROP"
        assert records.sums(dstport=7201, action="ACCEPT") == (0, 0)
    finally:
        end(six)
    running.kill9()
    running.start()
    records.reopen()
    peers.wait_until("the statement of the gap", records.skipped, 90)
    assert shown(running, log)["gaps"] == 1


def test_a_namespace_that_goes_and_comes_back(wharf, lab):  # noqa: F811
    running = serve(wharf, lab)
    log = make(running, "NETWORKINTERFACE", "eni-12345678")
    records = Records(running)
    records.at_work("eni-12345678")
    lab.remove()
    peers.wait_until("the trouble to be told", lambda: "namespace" in (shown(running, log)["error"] or ""), 30)
    assert refused(running, "SUBNET", "subnet-12345678")[0] == "UnsupportedOperation.FlowLogsNotSupportNullInstanceEni"
    lab.make_again()
    peers.wait_until("the end of the trouble", lambda: not shown(running, log)["error"], 30)
    peers.wait_until("the statement of the gap", records.skipped, 60)
    listener = lab.listen(7301)
    try:
        lab.send(7301, 100)
        assert records.wait(100, dstport=7301) == (100, 100 * UDP4)
    finally:
        end(listener)


def test_without_rights_there_is_a_clear_error_and_with_few_a_stated_fallback(wharf, lab):  # noqa: F811
    if not Path("/usr/bin/setpriv").exists():
        pytest.skip("setpriv is not installed")
    networks = [{"id": "eni-loopback", "vpc": VPC, "devices": ["lo"]}, {"id": "nat-12345678", "vpc": VPC}]
    none = serve(wharf, lab, networks=networks, ahead=["setpriv", "--inh-caps=-all", "--bounding-set=-all"])
    for kind, resource in (("NETWORKINTERFACE", "eni-12345678"), ("NETWORKINTERFACE", "eni-loopback"), ("NAT", "nat-12345678")):
        told = refused(none, kind, resource)
        assert told[0] == "UnauthorizedOperation" and "CAP_NET_ADMIN" in told[1], told
    assert call(none.vpc(), "DescribeFlowLogs")["TotalNum"] == 0
    none.stop()
    few = serve(lambda **parts: wharf("few", **parts), lab, networks=networks,
                ahead=["setpriv", "--inh-caps=-all,+net_raw", "--bounding-set=-all,+net_raw"])
    assert refused(few, "NETWORKINTERFACE", "eni-12345678")[0] == "UnauthorizedOperation", "its namespace may not be entered"
    log = make(few, "NETWORKINTERFACE", "eni-loopback")
    records = Records(few)
    records.at_work("eni-loopback")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
        to.bind(("127.0.0.1", 0))
        s.bind(("127.0.0.1", 0))
        for _ in range(200):
            s.sendto(bytes(TEXT), to.getsockname())
        flow = {"srcport": s.getsockname()[1], "dstport": to.getsockname()[1], "protocol": 17}
        # Out and in. The loopback is everybody's: what finds no room in the ring is stated.
        peers.wait_until("all packets", lambda: records.sums(**flow)[0] >= 400 or records.skipped(), 60)
        assert records.sums(**flow)[0] == 400 or records.skipped()
    state = shown(few, log)
    assert state["method"] == "packets", state
    assert any("BPF can't be used" in limit for limit in state["limits"]) and any("no REJECT" in limit for limit in state["limits"])
