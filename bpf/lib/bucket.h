/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Token buckets of an endpoint: each is one aligned word, {stamp of ns/1024, tokens}. */
#include "lib/maps.h"

#define PK_ANSWERS_PER_S 200
#define PK_EVENTS_PER_S	 100
#define PK_TENANT_EVENTS                                                                           \
	1000 /* events a second of all endpoints of a tenant; the burst is the same */
#define PK_BUCKET_STEP	  20 /* log2 of a second in a stamp's units of 1,024 ns */
#define PK_BUCKET_STEP_MS 1073ull

/*
 * Takes n tokens of a bucket that fills at rate a second up to burst, if `keep` are left
 * afterwards. Where another CPU was quicker it tries again a few times; then the packet passes
 * without paying, which at most one packet a CPU can do. It is a function that is verified on its
 * own, since it has many ways through.
 */
__noinline int pk_bucket_take(__u64 *word, __u64 rate, __u64 burst, __u32 n, __u32 keep)
{
	__u32 now = bpf_ktime_get_ns() >> 10;

	if (!word)
		return false;
	for (int i = 0; i < 4; i++) {
		__u64 old = READ_ONCE(*word), tokens = (__u32)old, gain, next;
		__u32 stamp = old >> 32, passed = now - stamp;

		/*
		 * Another CPU's clock read was later than ours: no time has passed, rather than
		 * nearly an hour.
		 */
		if (passed > ~0u >> PK_BUCKET_STEP << PK_BUCKET_STEP)
			passed = 0;
		if (!old) {
			tokens = burst;
			stamp = now;
		} else if (
			passed >>
			21) { /* over two seconds, in whole seconds: else the product overflows */
			tokens += (passed >> PK_BUCKET_STEP) * rate * PK_BUCKET_STEP_MS / 1000;
			stamp += passed >> PK_BUCKET_STEP << PK_BUCKET_STEP;
		} else {
			gain = passed * rate * 1024 / 1000000000;
			tokens += gain;
			if (gain) /* only the time that gave whole tokens is spent */
				stamp += gain * 1000000000 / (rate * 1024);
		}
		if (tokens > burst)
			tokens = burst;
		if (tokens < n + keep)
			return false;
		next = (__u64)stamp << 32 | (__u32)(tokens - n);
		if (__sync_val_compare_and_swap(word, old, next ? next : 1) == old)
			return true;
	}
	return true;
}

static __always_inline bool bucket_take(__u64 *word, __u64 rate, __u64 burst, __u32 n)
{
	return pk_bucket_take(word, rate, burst, n, 0);
}

static __always_inline struct pk_bucket *bucket_of(__u32 slot)
{
	return bpf_map_lookup_elem(&buckets, &slot);
}

/*
 * Takes the tokens of bytes and packets that an endpoint sends (PK_EGRESS) or gets (PK_INGRESS). A
 * limit may change at any time, so each is read once.
 */
static __always_inline bool bucket_traffic(__u32 slot, const struct pk_endpoint *ep,
					   enum pk_dir dir, __u32 bytes, __u32 packets)
{
	struct pk_bucket *b;
	__u64 rate, burst;

	if (likely(!READ_ONCE(ep->bytes_per_s[dir]) && !READ_ONCE(ep->packets_per_s[dir])))
		return true;
	b = bucket_of(slot);
	if (!b)
		return false;
	rate = READ_ONCE(ep->bytes_per_s[dir]);
	burst = READ_ONCE(ep->burst[dir]);
	if (!burst)
		burst = rate;
	/* The burst is at least one largest packet, so that one passes whatever the rate. */
	if (rate && !bucket_take(&b->tokens[PK_BUCKET_BYTES + dir], rate,
				 burst > 131072 ? burst : 131072, bytes))
		return false;
	rate = READ_ONCE(ep->packets_per_s[dir]);
	return !rate || bucket_take(&b->tokens[PK_BUCKET_PACKETS + dir], rate,
				    rate > 256 ? rate : 256, packets);
}

static __always_inline bool bucket_answer(__u32 slot)
{
	struct pk_bucket *b = bucket_of(slot);

	return b && bucket_take(&b->tokens[PK_BUCKET_ANSWERS], PK_ANSWERS_PER_S,
				2 * PK_ANSWERS_PER_S, 1);
}
