/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * In the place of libbpf's header, for the guard that is compiled for user space (guard.c): the
 * helpers are plain functions there. Tables are what the macros make of them, known by address.
 */
#include <linux/types.h>

#define __uint(name, val)  int(*name)[val]
#define __type(name, val)  __typeof__(val) *name
#define __array(name, val) __typeof__(val) *name[]
#define SEC(name)
#define __noinline __attribute__((noinline))
#define __weak
#define __ksym
#define preserve_access_index /* an attribute that only BPF has */

struct __sk_buff;
struct bpf_fib_lookup;
struct bpf_tunnel_key;
struct bpf_redir_neigh;
struct bpf_sock;
struct bpf_sock_tuple;
struct bpf_spin_lock;

/* libbpf's own functions have these names. */
#define bpf_map_lookup_elem user_map_lookup
#define bpf_map_update_elem user_map_update
#define bpf_map_delete_elem user_map_delete

void *bpf_map_lookup_elem(const void *map, const void *key);
long bpf_map_update_elem(const void *map, const void *key, const void *value, __u64 flags);
long bpf_map_delete_elem(const void *map, const void *key);
long bpf_skb_load_bytes(const void *skb, __u32 off, void *to, __u32 len);
long bpf_skb_store_bytes(struct __sk_buff *skb, __u32 off, const void *from, __u32 len,
			 __u64 flags);
long bpf_skb_pull_data(struct __sk_buff *skb, __u32 len);
long bpf_skb_change_tail(struct __sk_buff *skb, __u32 len, __u64 flags);
long bpf_skb_adjust_room(struct __sk_buff *skb, __s32 by, __u32 mode, __u64 flags);
__u32 bpf_get_hash_recalc(struct __sk_buff *skb);
long bpf_skb_vlan_pop(struct __sk_buff *skb);
long bpf_skb_change_type(struct __sk_buff *skb, __u32 type);
__s64 bpf_csum_diff(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size, __u32 seed);
__s64 bpf_csum_update(struct __sk_buff *skb, __u32 sum);
long bpf_redirect(__u32 ifindex, __u64 flags);
long bpf_redirect_peer(__u32 ifindex, __u64 flags);
long bpf_skb_get_tunnel_key(struct __sk_buff *skb, struct bpf_tunnel_key *key, __u32 size,
			    __u64 flags);
long bpf_skb_set_tunnel_key(struct __sk_buff *skb, struct bpf_tunnel_key *key, __u32 size,
			    __u64 flags);
long bpf_redirect_neigh(__u32 ifindex, struct bpf_redir_neigh *next, int size, __u64 flags);
long bpf_fib_lookup(void *skb, struct bpf_fib_lookup *fib, int size, __u32 flags);
long bpf_tail_call(void *skb, void *programs, __u32 place);
long bpf_loop(__u32 rounds, void *step, void *context, __u64 flags);
__u64 bpf_ktime_get_ns(void);
__u64 bpf_ktime_get_boot_ns(void);
__u64 bpf_ktime_get_coarse_ns(void);
__u64 bpf_jiffies64(void);
__u32 bpf_get_prandom_u32(void);
struct bpf_sock *bpf_skc_lookup_tcp(void *skb, struct bpf_sock_tuple *tuple, __u32 size,
				    __u64 netns, __u64 flags);
struct bpf_sock *bpf_sk_lookup_udp(void *skb, struct bpf_sock_tuple *tuple, __u32 size, __u64 netns,
				   __u64 flags);
long bpf_sk_release(void *sk);
__u64 bpf_ringbuf_query(void *ring, __u64 what);
void *bpf_ringbuf_reserve(void *ring, __u64 size, __u64 flags);
void bpf_ringbuf_submit(void *event, __u64 flags);
long bpf_spin_lock(struct bpf_spin_lock *lock);
long bpf_spin_unlock(struct bpf_spin_lock *lock);
long bpf_probe_read_kernel(void *to, __u32 size, const void *from);
