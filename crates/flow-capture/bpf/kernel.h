// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What flow.bpf.c needs of the kernel, and no more: integer types, map and section macros, helpers by number, the one
// stable structure of the ABI (__sk_buff) and stubs of kernel structures. The stubs hold only the fields that are read;
// preserve_access_index makes the loader look up their real offsets in the running kernel's BTF.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static __attribute__((always_inline))
#define CORE __attribute__((preserve_access_index))
#define MAP_UINT(name, value) int(*name)[value]
#define MAP_TYPE(name, value) typeof(value) *name

enum { MAP_HASH = 1, MAP_ARRAY = 2, MAP_PERCPU_ARRAY = 6, MAP_LRU_HASH = 9 };
enum { NO_PREALLOC = 1, NOEXIST = 1 };
enum { TCX_NEXT = -1 };

static void *(*const map_lookup)(void *map, const void *key) = (void *)1;
static long (*const map_update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*const ktime_ns)(void) = (void *)5;
static long (*const skb_load_bytes)(const void *skb, u32 offset, void *to, u32 len) = (void *)26;
static long (*const probe_read_kernel)(void *to, u32 len, const void *from) = (void *)113;
static u64 (*const ktime_coarse_ns)(void) = (void *)160;

// include/uapi/linux/bpf.h, as far as gso_size
struct __sk_buff {
  u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
  u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end, napi_id, family;
  u32 remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port, data_meta;
  u64 flow_keys __attribute__((aligned(8)));
  u64 tstamp;
  u32 wire_len, gso_segs;
  u64 sk __attribute__((aligned(8)));
  u32 gso_size;
};

struct ns_common { u32 inum; } CORE;
struct net { struct ns_common ns; } CORE;
typedef struct { struct net *net; } CORE possible_net_t;
struct net_device { s32 ifindex; possible_net_t nd_net; } CORE;
struct dst_entry { struct net_device *dev; } CORE;
struct sock { struct dst_entry *sk_dst_cache; } CORE;
struct skb_shared_info { u16 gso_size, gso_segs; } CORE;
struct inet_skb_parm { u16 frag_max_size; } CORE;
struct inet6_skb_parm { u16 frag_max_size; } CORE;
struct sk_buff {
  struct net_device *dev;
  struct sock *sk;
  char cb[48];
  unsigned long _skb_refdst;
  u32 len, end;
  s32 skb_iif;
  u16 network_header;
  u8 *head, *data;
} CORE;

#define READ(to, from) probe_read_kernel(&(to), sizeof(to), __builtin_preserve_access_index(&(from)))
#define OFFSET(type, field) ((u64)__builtin_preserve_access_index(&((type *)0)->field))
