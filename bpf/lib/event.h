/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Sends one event for each decision that somebody wants to hear of, within the budgets of the
 * hook's endpoint and of its tenant: a sender whose packets are denied elsewhere spends its own
 * budget. The fuller the ring, the more of both budgets must be left over. So one tenant takes less
 * than a third of the ring at once (two fifths by ends of flows), and tenants that were quiet find
 * room in the rest.
 */
#include "lib/bucket.h"
#include "lib/pkt.h"

static __always_inline bool event_wanted(void)
{
	const struct pk_node *n = node_get();

	return n && n->events;
}

static __always_inline void event_fill(struct pk_event *e, const struct pk_pkt *pkt)
{
	bool ingress = pkt->dir == PK_INGRESS;

	e->src = pkt->src;
	e->dst = pkt->dst;
	e->sport = pkt->sport;
	e->dport = pkt->flags & PK_PKT_PORTS ? pkt->dport : pkt->judged_port;
	e->proto = pkt->proto;
	e->tcp_flags = pkt->tcp_flags;
	e->ethertype = pkt->ethertype;
	e->src_identity = ingress ? pkt->peer_identity : pkt->identity;
	e->dst_identity = ingress ? pkt->identity : pkt->peer_identity;
	e->src_tenant = ingress ? pkt->peer_tenant : pkt->tenant;
	e->dst_tenant = ingress ? pkt->tenant : pkt->peer_tenant;
	e->rule = pkt->verdict.live.rule;
	e->rank = pkt->verdict.live.rank;
	e->audit_rule = pkt->verdict.audit.rule;
	e->audit_verdict = pkt->verdict.audit.verdict;
	e->audit_rank = pkt->verdict.audit.rank;
	e->party = pkt->party;
}

/*
 * Tenants whose numbers are equal modulo the table's size share a bucket. The table belongs to one
 * build.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} tenant_events SEC(".maps");

/* Returns how much of burst must be left over at the ring's present filling. */
static __always_inline __u32 event_keep(__u32 burst)
{
	__u64 used = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	__u64 size = bpf_ringbuf_query(&events, BPF_RB_RING_SIZE);

	return size ? used * burst / size : 0;
}

/*
 * Returns whether the packet answers a connection whose flow isn't there any more: one from outside
 * that gave way. Strangers bring about as many of them as they like, and an endpoint's events are
 * for what it does itself.
 */
static __always_inline bool event_is_strangers(const struct pk_pkt *pkt, int reason)
{
	return reason == PK_REASON_NO_FLOW && pkt->dir == PK_EGRESS &&
	       (pkt->tcp_flags & (PK_TH_SYN | PK_TH_ACK)) == (PK_TH_SYN | PK_TH_ACK);
}

static __always_inline bool event_affordable(__u32 tenant_nr, struct pk_bucket *b)
{
	__u32 share = tenant_nr & 1023;
	__u64 *tenant = bpf_map_lookup_elem(&tenant_events, &share);

	if (!tenant || !pk_bucket_take(&b->tokens[PK_BUCKET_EVENTS], PK_EVENTS_PER_S,
				       2 * PK_EVENTS_PER_S, 1, event_keep(2 * PK_EVENTS_PER_S)))
		return false;
	return pk_bucket_take(tenant, PK_TENANT_EVENTS, PK_TENANT_EVENTS, 1,
			      event_keep(PK_TENANT_EVENTS));
}

static __always_inline void event_is_lost(struct pk_bucket *b)
{
	__sync_fetch_and_add(&b->tokens[PK_BUCKET_EVENTS_LOST], 1);
}

/* Returns how many events were lost that no event has told of yet; this one does. */
static __always_inline __u64 event_untold(struct pk_bucket *b)
{
	__u64 told = READ_ONCE(b->tokens[PK_BUCKET_EVENTS_TOLD]);
	__u64 lost = READ_ONCE(b->tokens[PK_BUCKET_EVENTS_LOST]);

	if (likely(lost == told))
		return 0;
	/* Where another CPU was quicker, its event tells of them. */
	if (__sync_val_compare_and_swap(&b->tokens[PK_BUCKET_EVENTS_TOLD], told, lost) != told)
		return 0;
	return lost - told;
}

/* A packet that is denied after policy allowed it is no new flow. */
static __always_inline __u8 event_type(const struct pk_pkt *pkt, int reason)
{
	if (!pkt->event || (reason && pkt->event == PK_EVENT_ALLOWED))
		return PK_EVENT_DENIED;
	return pkt->event;
}

/* Sends the event. A failure is counted as lost and changes nothing else. Verified on its own. */
__noinline int pk_event_send(struct __sk_buff *skb, struct pk_pkt *pkt, int reason)
{
	struct pk_bucket *b;
	struct pk_event *e;

	if (!pkt || !event_wanted() || event_is_strangers(pkt, reason))
		return 0;
	b = bucket_of(pkt->slot);
	if (!b)
		return 0;
	e = NULL;
	if (event_affordable(pkt->tenant, b))
		e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		event_is_lost(b);
		return 0;
	}
	__builtin_memset(e, 0, sizeof(*e));
	event_fill(e, pkt);
	e->version = PK_EVENT_VERSION;
	e->type = event_type(pkt, reason);
	e->reason = reason;
	e->dir = pkt->count_dir;
	e->slot = pkt->count_slot;
	e->peer_slot = pkt->count_slot == pkt->slot ? pkt->peer_slot : pkt->slot;
	e->ns = bpf_ktime_get_boot_ns();
	e->revision = PK_WORD_REVISION(pkt->word);
	e->length = skb->len;
	e->lost = event_untold(b);
	bpf_ringbuf_submit(e, 0);
	return 0;
}
