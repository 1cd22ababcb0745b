// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The data path's programs. pk_from_endpoint is attached at the host veth's ingress, pk_to_endpoint
 * at its egress, pk_from_uplink at the uplinks' ingress, pk_from_fabric at that of the overlay's
 * device, the forwarders at the ingress of tap0 and
 * eth0 in the allocation's netns, pk_bound_tap at the egress of a tap0 that may have several
 * queues.
 */
#include "lib/guard.h"
#include "lib/fabric.h"
#include "lib/finish.h"
#include "lib/forward.h"
#include "lib/reap.h"
#include "lib/tap.h"

/* The targets of the slow path's tail calls. Each may name another one to go on in. */
#define PK_SLOW(name, decide)                                                                      \
	SEC("tc")                                                                                  \
	int name(struct __sk_buff *skb)                                                            \
	{                                                                                          \
		struct pk_scratch *s = scratch_get();                                              \
		int reason;                                                                        \
                                                                                                   \
		if (!s)                                                                            \
			return TC_ACT_SHOT;                                                        \
		reason = decide(skb, s);                                                           \
		return slow_finish(skb, s, reason);                                                \
	}

int pk_miss(struct __sk_buff *skb);
int pk_miss_to(struct __sk_buff *skb);
int pk_answer(struct __sk_buff *skb);
int pk_miss_up(struct __sk_buff *skb);
int pk_error(struct __sk_buff *skb);
int pk_error_to(struct __sk_buff *skb);
int pk_error_up(struct __sk_buff *skb);
int pk_tell_sender(struct __sk_buff *skb);
int pk_fragment(struct __sk_buff *skb);
int pk_fragment_to(struct __sk_buff *skb);
int pk_fragment_up(struct __sk_buff *skb);

/* libbpf fills this table at load. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, PK_TAIL_COUNT);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} programs SEC(".maps") = {
	.values = {
		[PK_TAIL_MISS] = (void *)&pk_miss,
		[PK_TAIL_MISS_TO] = (void *)&pk_miss_to,
		[PK_TAIL_ANSWER] = (void *)&pk_answer,
		[PK_TAIL_MISS_UP] = (void *)&pk_miss_up,
		[PK_TAIL_ERROR] = (void *)&pk_error,
		[PK_TAIL_ERROR_TO] = (void *)&pk_error_to,
		[PK_TAIL_ERROR_UP] = (void *)&pk_error_up,
		[PK_TAIL_TELL] = (void *)&pk_tell_sender,
		[PK_TAIL_FRAGMENT] = (void *)&pk_fragment,
		[PK_TAIL_FRAGMENT_TO] = (void *)&pk_fragment_to,
		[PK_TAIL_FRAGMENT_UP] = (void *)&pk_fragment_up,
	},
};

static __always_inline int slow_finish(struct __sk_buff *skb, struct pk_scratch *s, int reason)
{
	if (reason && guard_tells(skb, &s->pkt))
		s->pkt.tail = PK_TAIL_TELL;
	if (unlikely(s->pkt.tail)) {
		bpf_tail_call(skb, &programs, s->pkt.tail);
		reason = PK_REASON_TAIL_CALL_MISSING;
	}
	if (unlikely(!reason && s->pkt.flags & PK_PKT_FIRST))
		fragment_keep(s);
	return pk_finish(skb, &s->pkt, reason);
}

static __always_inline int decide_miss_to(struct __sk_buff *skb, struct pk_scratch *s)
{
	int reason = guard_miss_to(skb, s);

	return reason || s->pkt.tail ? reason : guard_end(s, guard_to_deliver(skb, &s->pkt));
}

PK_SLOW(pk_miss, guard_miss)
PK_SLOW(pk_miss_to, decide_miss_to)
PK_SLOW(pk_answer, guard_answer)
PK_SLOW(pk_miss_up, guard_miss_up)
PK_SLOW(pk_error, guard_error)
PK_SLOW(pk_error_to, guard_error_to)
PK_SLOW(pk_fragment, guard_fragment)
PK_SLOW(pk_fragment_to, guard_fragment_to)

/* A fragment of no flow of ours is left to the host; none that the overlay brings is. */
SEC("tc")
int pk_fragment_up(struct __sk_buff *skb)
{
	struct pk_scratch *s = scratch_get();
	int reason;

	if (!s)
		return TC_ACT_SHOT;
	reason = guard_fragment_up(skb, s);
	return reason == UPLINK_NOT_OURS ? TC_ACT_UNSPEC : slow_finish(skb, s, reason);
}

SEC("tc")
int pk_tell_sender(struct __sk_buff *skb)
{
	struct pk_scratch *s = scratch_get();

	return s ? pk_finish(skb, &s->pkt, pk_tell(skb, s)) : TC_ACT_SHOT;
}

/* An error that is about no flow of ours is left to the host, but for one of the overlay. */
SEC("tc")
int pk_error_up(struct __sk_buff *skb)
{
	struct pk_scratch *s = scratch_get();
	int reason = PK_REASON_OK;
	bool overlay;

	if (!s)
		return TC_ACT_SHOT;
	overlay = overlay_came(skb, &s->pkt);
	if (overlay)
		reason = pk_fabric_source(skb);
	if (!reason)
		reason = guard_error_up(skb, s);
	if (reason == PK_REASON_ICMP_UNRELATED && !s->pkt.slot && !overlay)
		return TC_ACT_UNSPEC;
	return pk_finish(skb, &s->pkt, reason);
}

/* Goes on in the slow path that pkt->tail names; returns only where it isn't loaded. */
static __always_inline int tail_call(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	struct pk_scratch *s = scratch_get();

	if (s) {
		s->pkt = *pkt;
		bpf_tail_call(skb, &programs, pkt->tail);
	}
	return PK_REASON_TAIL_CALL_MISSING;
}

SEC("tc")
int pk_from_endpoint(struct __sk_buff *skb)
{
	struct pk_pkt pkt = { .dir = PK_EGRESS, .count_dir = PK_EGRESS };
	int reason = guard_from(skb, &pkt);

	if (reason && guard_tells(skb, &pkt))
		pkt.tail = PK_TAIL_TELL;
	if (pkt.tail)
		reason = tail_call(skb, &pkt);
	return pk_finish(skb, &pkt, reason);
}

SEC("tc")
int pk_to_endpoint(struct __sk_buff *skb)
{
	struct pk_pkt pkt = { .dir = PK_INGRESS, .count_dir = PK_INGRESS };
	int reason;

	if (pk_tap_handed(skb))
		return pk_tap_bound(skb);
	reason = guard_to(skb, &pkt);
	if (pkt.tail)
		reason = tail_call(skb, &pkt);
	else if (!reason)
		reason = guard_to_deliver(skb, &pkt);
	return pk_finish(skb, &pkt, reason);
}

/* Judges a packet that came in by an uplink and may be ours, what a tunnel brought too. */
static __always_inline int take_up(struct __sk_buff *skb, enum uplink_kind kind)
{
	struct pk_pkt pkt = { .dir = PK_INGRESS, .count_dir = PK_INGRESS };
	int reason = PK_REASON_OK;

	if (kind == UPLINK_TUNNEL) {
		reason = guard_tunnel(skb, &pkt);
		kind = UPLINK_ENDPOINTS;
	}
	if (!reason)
		reason = guard_up(skb, &pkt, kind);
	if (reason == UPLINK_NOT_OURS)
		return TC_ACT_UNSPEC;
	if (reason && guard_tells(skb, &pkt))
		pkt.tail = PK_TAIL_TELL;
	if (pkt.tail)
		reason = tail_call(skb, &pkt);
	return pk_finish(skb, &pkt, reason);
}

static __always_inline int from_uplink(struct __sk_buff *skb)
{
	enum uplink_kind kind = guard_up_kind(skb);

	return likely(kind == UPLINK_HOSTS) ? TC_ACT_UNSPEC : take_up(skb, kind);
}

SEC("tc")
int pk_from_fabric(struct __sk_buff *skb)
{
	struct pk_pkt pkt = { .dir = PK_INGRESS, .count_dir = PK_INGRESS };
	int reason = guard_fabric(skb, &pkt);

	if (pkt.tail)
		reason = tail_call(skb, &pkt);
	return pk_finish(skb, &pkt, reason);
}

/*
 * Attached at an uplink's ingress. What isn't ours goes on to the next filter and the host,
 * untouched.
 */
SEC("tc")
int pk_from_uplink(struct __sk_buff *skb)
{
	return from_uplink(skb);
}

/*
 * Only user space runs this program. It ends the flow under the key that the packet holds, if that
 * flow is over. The packet's first 8 bytes behind the key become {1 = the flow went, the clock that
 * flows expire by}.
 */
SEC("tc")
int pk_flow_reap(struct __sk_buff *skb)
{
	struct pk_scratch *s = scratch_get();
	__u32 answer[2] = { 0, flow_now() };

	if (!s || bpf_skb_load_bytes(skb, REAP_KEY_OFFSET, &s->key, sizeof(s->key)) < 0)
		return TC_ACT_SHOT;
	answer[0] = pk_reap(s, answer[1]);
	if (bpf_skb_store_bytes(skb, REAP_KEY_OFFSET + sizeof(s->key), answer, sizeof(answer), 0) <
	    0)
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

SEC("tc")
int pk_forward_tap(struct __sk_buff *skb)
{
	return pk_forward(skb, true);
}

SEC("tc")
int pk_forward_eth(struct __sk_buff *skb)
{
	return pk_forward(skb, false);
}

SEC("tc")
int pk_bound_tap(struct __sk_buff *skb)
{
	return pk_tap_bound(skb);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
