// SPDX-License-Identifier: Apache-2.0
/* Limits: an endpoint's buckets of bytes, packets and new flows. */
#include "tests/model/state.h"

#define STEP	(1ull << 20) /* of units: what a long rest is counted in, 1.073 s */
#define SECOND	1000000000ull
#define HIGHEST 131072 /* bytes of the largest packet, which passes whatever the rate */

static uint64_t units(const struct model *m)
{
	return (uint64_t)m->now * EIGHTH_NS / 1024;
}

void rate_begin(struct model *m)
{
	for (uint32_t slot = 1; slot < SLOTS; slot++)
		for (int kind = 0; kind < PK_BUCKET_EVENTS; kind++)
			if (m->w->tokens[slot][kind])
				m->bucket[slot][kind] =
					(struct bucket){ m->w->tokens[slot][kind], units(m) };
}

/*
 * A bucket gains whole tokens; the time that gave none counts the next time. More than two seconds
 * are counted in whole steps, and the rest the next time.
 */
static void fill(struct bucket *b, uint64_t now, uint64_t rate)
{
	uint64_t passed = now - b->at, gain;

	if (passed >= 2 * STEP) {
		b->tokens += passed / STEP * rate * 1073 / 1000;
		b->at += passed / STEP * STEP;
		return;
	}
	gain = passed * rate * 1024 / SECOND;
	b->tokens += gain;
	b->at += gain * SECOND / (rate * 1024);
}

static bool take(struct model *m, struct bucket *at, uint64_t rate, uint64_t burst, uint64_t n)
{
	struct bucket b = *at;

	if (!b.at) /* never asked: full */
		b = (struct bucket){ burst, units(m) };
	fill(&b, units(m), rate);
	if (b.tokens > burst)
		b.tokens = burst;
	if (b.tokens < n)
		return false;
	b.tokens -= n;
	*at = b;
	return true;
}

bool rate_traffic(struct model *m, uint32_t slot, enum pk_dir dir, uint32_t bytes, uint32_t packets)
{
	const struct pk_endpoint *ep = &m->w->ep[slot];
	uint64_t rate = ep->bytes_per_s[dir], burst = ep->burst[dir] ? ep->burst[dir] : rate;

	if (rate && !take(m, &m->bucket[slot][PK_BUCKET_BYTES + dir], rate,
			  burst > HIGHEST ? burst : HIGHEST, bytes))
		return false;
	rate = ep->packets_per_s[dir];
	return !rate || take(m, &m->bucket[slot][PK_BUCKET_PACKETS + dir], rate,
			     rate > 256 ? rate : 256, packets);
}

bool rate_new_flow(struct model *m, uint32_t slot, bool outside)
{
	uint64_t rate = m->w->ep[slot].new_flows_per_s[outside];

	return !rate || take(m, &m->bucket[slot][PK_BUCKET_NEW_FLOWS + outside], rate, 2 * rate, 1);
}

/* A frame that will be cut up counts for the packets that it will be. */
uint32_t rate_packets(const struct walk *k)
{
	uint32_t size = k->step->beside.gso;

	return size ? (k->seen.payload + size - 1) / size : 1;
}
