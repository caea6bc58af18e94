// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Counts packets per flow where they pass a device (tcx, both directions) and where netfilter drops them (kfree_skb).
//
// Two sides of every counting map: the programs write to the side that `control` names, user space reads and empties the
// other one. What can't be counted is counted as lost, so that seen + lost is every packet that passed.
//
// A packet that comes in and is then dropped is counted at both places. Its second count carries the direction IN, and the
// reader subtracts it from the first. A packet that is dropped on its way out never reaches tcx: direction OUT, no subtraction.
#include "kernel.h"

enum { IN = 0, OUT = 1 };
enum { TCP = 6, UDP = 17, DCCP = 33, SCTP = 132, UDPLITE = 136 };
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, AUTHENTICATION = 51, DESTINATION = 60 };
enum { WHOLE = 1, FORWARDED = 2 }; // of a watched device: all its packets; of a port those that the bridge passes on
enum { LOOPBACK = 1 }; // the index of `lo` in every namespace

struct key { u8 src[16], dst[16]; u16 sport, dport; u8 protocol, direction, version, pad; u32 ifindex; };
struct count { u64 packets, bytes, first, last, flags; };
struct loss { u64 packets, bytes, verdicts, other, malformed; };
struct control { u32 side, netns; };
struct fragment { u8 src[16], dst[16]; u32 id; u8 protocol, version; u16 pad; };
struct ports { u16 source, destination; };

#define COUNTERS(name) \
  struct { \
    MAP_UINT(type, MAP_HASH); MAP_UINT(max_entries, 65536); MAP_UINT(map_flags, NO_PREALLOC); \
    MAP_TYPE(key, struct key); MAP_TYPE(value, struct count); \
  } name SEC(".maps")

COUNTERS(seen_0);
COUNTERS(seen_1);
COUNTERS(rejected_0);
COUNTERS(rejected_1);

struct { MAP_UINT(type, MAP_ARRAY); MAP_UINT(max_entries, 1); MAP_TYPE(key, u32); MAP_TYPE(value, struct control); } control SEC(".maps");
struct { MAP_UINT(type, MAP_PERCPU_ARRAY); MAP_UINT(max_entries, 2); MAP_TYPE(key, u32); MAP_TYPE(value, struct loss); } losses SEC(".maps");
struct { MAP_UINT(type, MAP_HASH); MAP_UINT(max_entries, 1024); MAP_TYPE(key, u32); MAP_TYPE(value, u32); } watched SEC(".maps");
struct { MAP_UINT(type, MAP_LRU_HASH); MAP_UINT(max_entries, 8192); MAP_TYPE(key, struct fragment); MAP_TYPE(value, struct ports); } fragments SEC(".maps");

volatile const u32 netfilter_drop = 0; // SKB_DROP_REASON_NETFILTER_DROP of this kernel, set by the loader

struct ipv4 { u8 version_ihl, tos; u16 length, id, fragment; u8 ttl, protocol; u16 checksum; u8 src[4], dst[4]; };
struct ipv6 { u32 version_class_label; u16 length; u8 next, hops, src[16], dst[16]; };
struct extension { u8 next, length; u16 fragment; u32 id; };
struct transport { u16 source, destination; u32 sequence, acknowledgement; u8 offset, flags; };

// Where the bytes of a packet are: in the context of a tcx program, or in the linear part of a kernel's skb.
struct bytes { struct __sk_buff *skb; const u8 *head; int traced; };
struct packet { struct key key; u32 packets, bytes, headers; u64 flags; u8 fragmented; };

// Headers mostly lie in the linear part, where the program reads them itself; the helper is for those that don't.
INLINE int load(const struct bytes *from, u32 offset, void *to, u32 len) {
  if (from->traced) return probe_read_kernel(to, len, from->head + offset);
  u8 *at = (u8 *)(u64)from->skb->data, *end = (u8 *)(u64)from->skb->data_end;
  if (offset < 512) {
    at += offset;
    if (at + len <= end) {
      __builtin_memcpy(to, at, len);
      return 0;
    }
  }
  return skb_load_bytes(from->skb, offset, to, len);
}

INLINE int has_ports(u8 protocol) {
  return protocol == TCP || protocol == UDP || protocol == SCTP || protocol == UDPLITE || protocol == DCCP;
}

// Later fragments carry no ports: they take those of their first one, when that came before.
INLINE void follow_fragments(u16 place, u32 id, struct packet *p) {
  struct fragment f = {};
  __builtin_memcpy(f.src, p->key.src, 16);
  __builtin_memcpy(f.dst, p->key.dst, 16);
  f.id = id, f.protocol = p->key.protocol, f.version = p->key.version;
  if (place & 0xfff8) {
    struct ports *known = map_lookup(&fragments, &f);
    if (known) p->key.sport = known->source, p->key.dport = known->destination;
  } else {
    struct ports found = {p->key.sport, p->key.dport};
    map_update(&fragments, &f, &found, 0);
  }
}

// Ports and TCP flags.
INLINE void read_transport(const struct bytes *from, u32 offset, u32 network, u16 place, u32 id, struct packet *p) {
  p->headers = offset - network;
  if (!has_ports(p->key.protocol)) return;
  if (!(place & 0xfff8)) {
    struct transport t;
    if (load(from, offset, &t, 4)) return;
    p->key.sport = __builtin_bswap16(t.source);
    p->key.dport = __builtin_bswap16(t.destination);
    p->headers += 8;
    if (p->key.protocol == TCP && !load(from, offset, &t, 14)) {
      p->flags = t.flags;
      p->headers += (t.offset >> 4) * 4 - 8;
    }
  }
  if (place) follow_fragments(place, id, p);
}

// `place` is a fragment's offset in bytes, plus 1 when more follow; 0 when it is none.
INLINE int read_ipv4(const struct bytes *from, u32 offset, u32 available, struct packet *p) {
  struct ipv4 h;
  if (load(from, offset, &h, sizeof h)) return -1;
  u32 header = (h.version_ihl & 15) * 4, length = __builtin_bswap16(h.length);
  if (header < sizeof h) return -1;
  u16 raw = __builtin_bswap16(h.fragment), place = (raw & 0x1fff) << 3 | (raw & 0x2000 ? 1 : 0);
  p->key.version = 4;
  p->key.protocol = h.protocol;
  __builtin_memcpy(p->key.src, h.src, 4);
  __builtin_memcpy(p->key.dst, h.dst, 4);
  p->bytes = length && length < available ? length : available;
  p->fragmented = place != 0;
  read_transport(from, offset + header, offset, place, h.id, p);
  return 0;
}

INLINE int read_ipv6(const struct bytes *from, u32 offset, u32 available, struct packet *p) {
  struct ipv6 h;
  if (load(from, offset, &h, sizeof h)) return -1;
  u32 length = __builtin_bswap16(h.length), at = offset + sizeof h, id = 0;
  u16 place = 0;
  u8 next = h.next;
  for (int i = 0; i < 6; i++) {
    struct extension e;
    if (next != HOP_BY_HOP && next != ROUTING && next != FRAGMENT && next != AUTHENTICATION && next != DESTINATION) break;
    if (place & 0xfff8) break; // what follows in a later fragment is no header
    if (load(from, at, &e, sizeof e)) break;
    if (next == FRAGMENT) {
      u16 raw = __builtin_bswap16(e.fragment);
      place = (raw & 0xfff8) | (raw & 1), id = e.id, at += 8;
    } else {
      at += next == AUTHENTICATION ? (e.length + 2) * 4 : (e.length + 1) * 8;
    }
    next = e.next;
  }
  p->key.version = 6;
  p->key.protocol = next;
  __builtin_memcpy(p->key.src, h.src, 16);
  __builtin_memcpy(p->key.dst, h.dst, 16);
  p->bytes = length && length + sizeof h < available ? length + sizeof h : available;
  p->fragmented = place != 0;
  read_transport(from, at, offset, place, id, p);
  return 0;
}

// One skb may stand for many packets on the wire (segmentation offload): each of them has its own headers.
INLINE void count_segments(struct packet *p, u32 available, u32 gso_size, u32 gso_segs) {
  p->packets = 1;
  if (!gso_size) return;
  u32 payload = available > p->headers ? available - p->headers : 0;
  u32 segments = gso_segs ? gso_segs : (payload + gso_size - 1) / gso_size;
  if (segments < 2) return;
  p->packets = segments;
  p->bytes = available + (segments - 1) * p->headers;
}

// A flow is mostly seen by one CPU at a time, so counters that all share cost less than the cache lines of one per CPU.
INLINE void add(struct count *c, const struct packet *p, u64 now) {
  __sync_fetch_and_add(&c->packets, p->packets);
  __sync_fetch_and_add(&c->bytes, p->bytes);
  if (c->last != now) c->last = now;
  if (p->flags & ~c->flags) __sync_fetch_and_or(&c->flags, p->flags);
}

// Each map has calls of its own: only so does the kernel compile the look-up into the program. Where another CPU was quicker
// to make the entry, it is added to.
#define ACCOUNT(map, p, now, on_failure) \
  do { \
    struct count *c = map_lookup(&map, &(p)->key); \
    if (c) { add(c, p, now); break; } \
    struct count fresh = {(p)->packets, (p)->bytes, now, now, (p)->flags}; \
    if (!map_update(&map, &(p)->key, &fresh, NOEXIST)) break; \
    c = map_lookup(&map, &(p)->key); \
    if (c) { add(c, p, now); break; } \
    on_failure; \
  } while (0)

INLINE struct control *get_control(void) {
  u32 zero = 0;
  return map_lookup(&control, &zero);
}

INLINE int see(struct __sk_buff *skb, u8 direction, u32 link_header) {
  struct control *c = get_control();
  if (!c) return TCX_NEXT;
  u32 side = c->side & 1, offset = link_header;
  struct loss *lost = map_lookup(&losses, &side);
  if (!lost) return TCX_NEXT;
  u16 type = skb->protocol;
  struct bytes from = {skb, 0, 0};
  if (link_header && load(&from, 12, &type, 2)) { lost->malformed++; return TCX_NEXT; }
  for (int i = 0; i < 2 && (type == __builtin_bswap16(0x8100) || type == __builtin_bswap16(0x88a8)); i++) {
    if (load(&from, offset + 2, &type, 2)) { lost->malformed++; return TCX_NEXT; }
    offset += 4;
  }
  struct packet p = {};
  u32 available = skb->len > offset ? skb->len - offset : 0;
  int bad;
  if (type == __builtin_bswap16(0x0800)) bad = read_ipv4(&from, offset, available, &p);
  else if (type == __builtin_bswap16(0x86dd)) bad = read_ipv6(&from, offset, available, &p);
  else { lost->other++; return TCX_NEXT; }
  if (bad) { lost->malformed++; return TCX_NEXT; }
  p.key.direction = direction;
  p.key.ifindex = skb->ifindex;
  count_segments(&p, available, skb->gso_size, skb->gso_segs);
  u64 now = ktime_coarse_ns();
  if (side) ACCOUNT(seen_1, &p, now, (lost->packets += p.packets, lost->bytes += p.bytes));
  else ACCOUNT(seen_0, &p, now, (lost->packets += p.packets, lost->bytes += p.bytes));
  return TCX_NEXT;
}

// Devices with an Ethernet header, and those whose packets begin with the network's.
SEC("classifier/ether_in") int ether_in(struct __sk_buff *skb) { return see(skb, IN, 14); }
SEC("classifier/ether_out") int ether_out(struct __sk_buff *skb) { return see(skb, OUT, 14); }
// A port of a bridge: what came in by another port. What the bridge itself sends has no such device, and is seen at the bridge.
SEC("classifier/ether_forwarded") int ether_forwarded(struct __sk_buff *skb) {
  u32 came = skb->ingress_ifindex, *mode = map_lookup(&watched, &came);
  return mode && *mode == FORWARDED ? see(skb, OUT, 14) : TCX_NEXT;
}
SEC("classifier/plain_in") int plain_in(struct __sk_buff *skb) { return see(skb, IN, 0); }
SEC("classifier/plain_out") int plain_out(struct __sk_buff *skb) { return see(skb, OUT, 0); }

INLINE u32 index_of(struct net_device *dev, u32 netns) {
  struct net *net = 0;
  u32 inum = 0;
  s32 index = 0;
  if (!dev) return 0;
  READ(net, dev->nd_net.net);
  if (!net) return 0;
  READ(inum, net->ns.inum);
  if (inum != netns) return 0;
  READ(index, dev->ifindex);
  return index;
}

INLINE int is_watched(u32 index) { return index && map_lookup(&watched, &index) != 0; }

// Fragments that were put together again before the drop were seen one by one: says how many, from the largest of them.
INLINE void count_fragments(struct packet *p, u32 largest) {
  u32 fixed = p->key.version == 4 ? 20 : 48, header = p->key.version == 4 ? 20 : 40, each = p->key.version == 4 ? 0 : 8;
  if (p->packets != 1 || p->fragmented || largest < 68 || largest >= p->bytes) return;
  u32 room = (largest - fixed) & ~7u;
  if (!room) return;
  u32 count = (p->bytes - header + room - 1) / room;
  p->packets = count;
  p->bytes += (count - 1) * header + count * each;
}

INLINE struct net_device *way_out(struct sk_buff *skb) {
  unsigned long dst = 0;
  struct net_device *dev = 0;
  struct sock *sk = 0;
  READ(dst, skb->_skb_refdst);
  dst &= ~1ul;
  if (!dst) {
    READ(sk, skb->sk);
    if (sk) READ(dst, sk->sk_dst_cache);
  }
  if (dst) READ(dev, ((struct dst_entry *)dst)->dev);
  return dev;
}

// To whom a drop belongs: the device that the packet came in by; where nobody watches that one, or it was made here, the
// device that it would have left by. In OUTPUT the skb has no device yet, its route has.
INLINE int attribute(struct sk_buff *skb, u32 netns, struct key *key) {
  struct net_device *dev = 0;
  s32 arrived = 0;
  READ(dev, skb->dev);
  READ(arrived, skb->skb_iif);
  u32 here = index_of(dev, netns);
  if (arrived && here && is_watched(arrived)) {
    key->ifindex = arrived, key->direction = IN;
    return 1;
  }
  u32 out = index_of(way_out(skb), netns);
  if (!out && !arrived) out = here;
  if ((arrived && out == LOOPBACK) || !is_watched(out)) return 0;
  key->ifindex = out, key->direction = OUT;
  return 1;
}

SEC("raw_tp/kfree_skb") int dropped(u64 *ctx) {
  struct sk_buff *skb = (void *)ctx[0];
  if ((u32)ctx[2] != netfilter_drop) return 0;
  struct control *c = get_control();
  if (!c) return 0;
  u32 side = c->side & 1;
  struct loss *lost = map_lookup(&losses, &side);
  struct packet p = {};
  if (!lost || !attribute(skb, c->netns, &p.key)) return 0;
  u8 *head = 0, *data = 0, first = 0;
  u16 network = 0, gso_size = 0, gso_segs = 0, largest = 0;
  u32 len = 0, end = 0;
  READ(head, skb->head), READ(data, skb->data), READ(network, skb->network_header), READ(len, skb->len), READ(end, skb->end);
  struct skb_shared_info *shared = (void *)(head + end);
  READ(gso_size, shared->gso_size), READ(gso_segs, shared->gso_segs);
  struct bytes from = {0, head, 1};
  s32 ahead = (s32)(data - (head + network)); // of the network header: negative where data is still at the link header
  u32 available = len + ahead;
  probe_read_kernel(&first, 1, head + network);
  u64 cb = (u64)__builtin_preserve_access_index(&skb->cb);
  int bad = -1;
  if (first >> 4 == 4) {
    bad = read_ipv4(&from, network, available, &p);
    probe_read_kernel(&largest, 2, (void *)(cb + OFFSET(struct inet_skb_parm, frag_max_size)));
  } else if (first >> 4 == 6) {
    bad = read_ipv6(&from, network, available, &p);
    probe_read_kernel(&largest, 2, (void *)(cb + OFFSET(struct inet6_skb_parm, frag_max_size)));
  }
  if (bad) { lost->verdicts++; return 0; }
  count_segments(&p, available, gso_size, gso_segs);
  count_fragments(&p, largest);
  u64 now = ktime_ns();
  if (side) ACCOUNT(rejected_1, &p, now, lost->verdicts += p.packets);
  else ACCOUNT(rejected_0, &p, now, lost->verdicts += p.packets);
  return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
