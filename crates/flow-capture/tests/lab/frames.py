"""Sends frames whose number and size are known. Usage: frames.py DEVICE SCRIPT, where each line of SCRIPT is
`COUNT KIND …`: udp4 SPORT DPORT SIZE, udp6 SPORT DPORT SIZE, vlan SPORT DPORT SIZE, icmp4 SIZE, gre SIZE, frag4 SPORT DPORT
SIZE (two fragments), arp, flows N (one UDP packet for each of N source ports of as many hosts), bad (an IPv4 header that is too short)."""
import socket, struct, sys, time

A4, B4 = socket.inet_aton("10.99.0.1"), socket.inet_aton("10.99.0.2")
A6, B6 = (socket.inet_pton(socket.AF_INET6, "fd00:99::" + n) for n in "12")
device = sys.argv[1]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((device, 0))
own = s.getsockname()[4]
peer = bytes.fromhex(sys.argv[2])


def checksum(b):
    t = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    t = (t & 0xFFFF) + (t >> 16)
    return ~((t & 0xFFFF) + (t >> 16)) & 0xFFFF


def ip4(proto, body, ident=0, frag=0, src=A4):
    h = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), ident, frag, 64, proto, 0, src, B4)
    return h[:10] + struct.pack("!H", checksum(h)) + h[12:] + body


def ip6(nxt, body):
    return struct.pack("!IHBB16s16s", 6 << 28, len(body), nxt, 64, A6, B6) + body


def udp(sport, dport, size):
    return struct.pack("!HHHH", sport, dport, 8 + size, 0) + bytes(size)


def ether(kind, body):
    return peer + own + struct.pack("!H", kind) + body


def frames(words):
    kind, n = words[0], [int(w) for w in words[1:]]
    if kind == "udp4":
        return [ether(0x0800, ip4(17, udp(*n)))]
    if kind == "udp6":
        return [ether(0x86DD, ip6(17, udp(*n)))]
    if kind == "vlan":
        return [ether(0x8100, struct.pack("!HH", 5, 0x0800) + ip4(17, udp(*n)))]
    if kind == "icmp4":
        return [ether(0x0800, ip4(1, b"\x00\x00" + bytes(n[0] - 2)))]
    if kind == "gre":
        return [ether(0x0800, ip4(47, bytes(n[0])))]
    if kind == "frag4":
        d, cut = udp(*n), (n[2] // 2 + 8) // 8 * 8
        return [ether(0x0800, ip4(17, d[:cut], 7, 0x2000)), ether(0x0800, ip4(17, d[cut:], 7, cut // 8))]
    if kind == "arp":
        return [ether(0x0806, bytes(46))]
    if kind == "bad":
        return [ether(0x0800, b"\x41" + bytes(45))]
    if kind == "flows":
        return [
            ether(0x0800, ip4(17, udp(1000 + i % 60000, 7, 10), src=struct.pack("!I", 0x0A630100 + i // 60000)))
            for i in range(n[0])
        ]
    raise SystemExit("unknown kind " + kind)


for line in sys.stdin:
    words = line.split()
    many = frames(words[1:])
    for i in range(int(words[0])):
        for f in many:
            s.send(f)
        if i % 200 == 199:
            time.sleep(0.001)
