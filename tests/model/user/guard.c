// SPDX-License-Identifier: Apache-2.0
/*
 * The whole guard, compiled for user space with ASan and UBSan from the very files that BPF is made
 * of; the helpers that it calls, and one packet through it. A program touches the linear part of its
 * packet alone: all else is poisoned.
 */
#include "lib/base.h"
#undef pk_after
#define pk_after(p, value) ((void)(value), (p)) /* an order that one thread has anyway */
#include "guard.bpf.c"

#include <sanitizer/asan_interface.h>
#include <setjmp.h>

#include "tests/model/cast.h"
#include "tests/model/user/user.h"

#define HEADROOM 64 /* of the made-up kernel's structure before the frame */
#define WAY_MTU	 1500
#define JIFFIES	 1000000 /* when a world begins */

uint64_t user_eighths;
static struct user_packet *in_hand;
static struct sk_buff kernel;
static jmp_buf tail;
static int (*next)(struct __sk_buff *skb);

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

#define TABLE(map, of_kind, elements_room)                                                         \
	table_is(&(struct table){ .address = &(map),                                               \
				  .name = #map,                                                    \
				  .kind = (of_kind),                                               \
				  .key = sizeof(*(map).key),                                       \
				  .value = sizeof(*(map).value),                                   \
				  .room = (elements_room) })

void user_tables(void)
{
	TABLE(node, TABLE_ARRAY, 1);
	TABLE(slots, TABLE_HASH, 64);
	TABLE(endpoints, TABLE_ARRAY, USER_SLOTS);
	TABLE(words, TABLE_ARRAY, USER_SLOTS);
	TABLE(by_address, TABLE_HASH, 64);
	TABLE(remote, TABLE_HASH, 64);
	TABLE(pools, TABLE_PREFIX, 64);
	TABLE(tunnels, TABLE_HASH, 64);
	TABLE(published, TABLE_HASH, 64);
	TABLE(published_ports, TABLE_ARRAY, PK_PORT_WORDS);
	TABLE(open_ports, TABLE_HASH, 64);
	TABLE(rule_sets, TABLE_ARRAY, 8);
	TABLE(cidr, TABLE_PREFIX, 1024);
	TABLE(peer_class, TABLE_HASH, 1024);
	TABLE(verdicts, TABLE_PREFIX, 1024);
	TABLE(flows, TABLE_HASH, 4096);
	TABLE(places, TABLE_ARRAY, USER_SLOTS * USER_BUDGET);
	TABLE(fragments, TABLE_ARRAY, PK_FRAGMENTS_UPLINK + USER_SLOTS * PK_FRAGMENTS);
	TABLE(buckets, TABLE_ARRAY, USER_SLOTS);
	TABLE(counters, TABLE_ARRAY, USER_SLOTS * 2 * PK_REASON_SLOTS);
	TABLE(scratch, TABLE_ARRAY, 1);
	TABLE(answers, TABLE_ARRAY, USER_SLOTS);
	TABLE(tenant_events, TABLE_ARRAY, 1024);
}

/* Plain bytes, whatever is poisoned. */
__attribute__((no_sanitize("address"))) static void copy(uint8_t *to, const uint8_t *from, __u32 n)
{
	for (volatile __u32 i = 0; i < n; i++)
		to[i] = from[i];
}

void user_linear(struct user_packet *p)
{
	__asan_unpoison_memory_region(p->bytes, p->room);
	__asan_poison_memory_region(p->bytes + p->linear, p->room - p->linear);
}

static void refresh(struct __sk_buff *skb)
{
	skb->len = in_hand->len;
	skb->data = (__u32)(long)in_hand->bytes;
	skb->data_end = skb->data + in_hand->linear;
	user_linear(in_hand);
}

long bpf_skb_load_bytes(const void *skb, __u32 off, void *to, __u32 len)
{
	if (off > in_hand->len || len > in_hand->len - off)
		return -1;
	copy(to, in_hand->bytes + off, len);
	return 0;
}

long bpf_skb_store_bytes(struct __sk_buff *skb, __u32 off, const void *from, __u32 len, __u64 flags)
{
	if (off > in_hand->len || len > in_hand->len - off)
		return -1;
	copy(in_hand->bytes + off, from, len);
	return 0;
}

long bpf_skb_pull_data(struct __sk_buff *skb, __u32 len)
{
	if (len > in_hand->len)
		return -1;
	if (len > in_hand->linear)
		in_hand->linear = len;
	refresh(skb);
	return 0;
}

long bpf_skb_change_tail(struct __sk_buff *skb, __u32 len, __u64 flags)
{
	if (len > in_hand->room)
		return -1;
	__asan_unpoison_memory_region(in_hand->bytes, in_hand->room);
	if (len > in_hand->len)
		memset(in_hand->bytes + in_hand->len, 0, len - in_hand->len);
	in_hand->len = in_hand->linear = len;
	refresh(skb);
	return 0;
}

/* A packet that has a tag here has a VLAN's: nobody takes it off. */
long bpf_skb_vlan_pop(struct __sk_buff *skb)
{
	return -1;
}

long bpf_skb_change_type(struct __sk_buff *skb, __u32 type)
{
	skb->pkt_type = type;
	return 0;
}

__s64 bpf_csum_diff(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size, __u32 seed)
{
	const __u16 *word = (const __u16 *)to;
	__u64 sum = seed;

	for (__u32 i = 0; i < to_size / 2; i++)
		sum += word[i];
	return (__u32)((sum & 0xffffffff) + (sum >> 32));
}

__s64 bpf_csum_update(struct __sk_buff *skb, __u32 sum)
{
	return 0;
}

long bpf_redirect_peer(__u32 ifindex, __u64 flags)
{
	in_hand->target = ifindex;
	return TC_ACT_REDIRECT;
}

long bpf_redirect(__u32 ifindex, __u64 flags)
{
	return bpf_redirect_peer(ifindex, flags);
}

long bpf_redirect_neigh(__u32 ifindex, struct bpf_redir_neigh *to, int size, __u64 flags)
{
	return bpf_redirect_peer(ifindex, flags);
}

/* The tests' node has no device of the overlay's. */
long bpf_skb_get_tunnel_key(struct __sk_buff *skb, struct bpf_tunnel_key *key, __u32 size,
			    __u64 flags)
{
	return -1;
}

long bpf_skb_set_tunnel_key(struct __sk_buff *skb, struct bpf_tunnel_key *key, __u32 size,
			    __u64 flags)
{
	return -1;
}

long bpf_skb_adjust_room(struct __sk_buff *skb, __s32 by, __u32 mode, __u64 flags)
{
	return -1;
}

__u32 bpf_get_hash_recalc(struct __sk_buff *skb)
{
	return 0;
}

/* As the tests' node has it; the neighbour is the destination itself. */
long bpf_fib_lookup(void *skb, struct bpf_fib_lookup *fib, int size, __u32 flags)
{
	const struct pk_node *n = node_get();
	union pk_addr to, source;
	__u32 device;
	int r;

	if (fib->family == AF_INET)
		parse_mapped(&to, fib->ipv4_dst);
	else
		memcpy(&to, fib->ipv6_dst, 16);
	r = user_route(to.b, &device);
	if (r)
		return r;
	fib->ifindex = device;
	memcpy(fib->dmac, outside_mac, sizeof(outside_mac));
	fib->mtu_result = WAY_MTU;
	source = fib->family == AF_INET ? n->uplink[0].ipv4 : n->uplink[0].ipv6;
	if (flags & BPF_FIB_LOOKUP_SRC && fib->family == AF_INET)
		fib->ipv4_src = source.w[3];
	else if (flags & BPF_FIB_LOOKUP_SRC)
		memcpy(fib->ipv6_src, &source, 16);
	return BPF_FIB_LKUP_RET_SUCCESS;
}

/* The program that goes on never comes back here. */
long bpf_tail_call(void *skb, void *map, __u32 place)
{
	next = (int (*)(struct __sk_buff *))programs.values[place];
	longjmp(tail, 1);
}

long bpf_loop(__u32 rounds, void *step, void *context, __u64 flags)
{
	int (*each)(__u32, void *) = (int (*)(__u32, void *))step;
	__u32 i = 0;

	while (i < rounds && !each(i, context))
		i++;
	return i;
}

__u64 bpf_ktime_get_ns(void)
{
	return user_eighths * EIGHTH_NS;
}

__u64 bpf_ktime_get_boot_ns(void)
{
	return bpf_ktime_get_ns();
}

__u64 bpf_ktime_get_coarse_ns(void)
{
	return bpf_ktime_get_ns();
}

__u64 bpf_jiffies64(void)
{
	return JIFFIES + user_eighths * pk_hz / 8;
}

__u32 bpf_get_prandom_u32(void)
{
	return 0x12345678;
}

struct bpf_sock *bpf_skc_lookup_tcp(void *skb, struct bpf_sock_tuple *tuple, __u32 size,
				    __u64 netns, __u64 flags)
{
	return NULL;
}

struct bpf_sock *bpf_sk_lookup_udp(void *skb, struct bpf_sock_tuple *tuple, __u32 size, __u64 netns,
				   __u64 flags)
{
	return NULL;
}

long bpf_sk_release(void *sk)
{
	return 0;
}

__u64 bpf_ringbuf_query(void *ring, __u64 what)
{
	return what == BPF_RB_RING_SIZE;
}

void *bpf_ringbuf_reserve(void *ring, __u64 size, __u64 flags)
{
	static struct pk_event_closed event;

	return &event;
}

void bpf_ringbuf_submit(void *event, __u64 flags)
{
}

long bpf_spin_lock(struct bpf_spin_lock *lock)
{
	return 0;
}

long bpf_spin_unlock(struct bpf_spin_lock *lock)
{
	return 0;
}

long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	return -1;
}

void *bpf_cast_to_kern_ctx(void *skb)
{
	return &kernel;
}

void *bpf_rdonly_cast(void *object, __u32 type)
{
	return object;
}

/* The kernel's own structure, whose shared part stands where `end` says. */
static void make_kernel(const struct user_packet *p)
{
	static struct {
		__u8 head[HEADROOM];
		struct skb_shared_info shared;
	} made;

	made.shared.gso_type = p->gso_type;
	kernel = (struct sk_buff){ .ip_summed = p->partial ? PK_CHECKSUM_PARTIAL : 0,
				   .csum_start = HEADROOM + p->sum_start,
				   .csum_offset = p->sum_offset,
				   .head = made.head,
				   .data = made.head + HEADROOM,
				   .end = (__u8 *)&made.shared - made.head };
}

int user_run(enum user_program program, struct user_packet *p)
{
	static int (*const programs_of[])(struct __sk_buff *) = { pk_from_endpoint, pk_to_endpoint,
								  pk_from_uplink };
	static struct __sk_buff skb;
	int r;

	skb = (struct __sk_buff){ .ifindex = p->ifindex,
				  .ingress_ifindex = p->ingress_ifindex,
				  .gso_size = p->gso_size,
				  .vlan_present = p->vlan,
				  .vlan_tci = p->vlan ? 5 : 0 };
	in_hand = p;
	make_kernel(p);
	refresh(&skb);
	next = programs_of[program];
	setjmp(tail);
	r = next(&skb);
	__asan_unpoison_memory_region(p->bytes, p->room);
	tables_rest();
	return r;
}
