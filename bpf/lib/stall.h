/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Named moments between two steps of a packet that another processor may use. In a node's object
 * PK_STALL is nothing. In the object of the race tests (-DPK_STALLS, tests/bpf/stall.c) the first
 * packet that comes to the armed moment stays there until the test lets it go, or for so many
 * rounds.
 */
enum pk_stall {
	PK_STALL_NONE,
	PK_STALL_FLOW_FOUND,	/* a flow is found, its words aren't read yet */
	PK_STALL_FLOW_CURRENT,	/* its words are those of now, its reason isn't read */
	PK_STALL_JUDGED,	/* judged again; the flow doesn't know yet */
	PK_STALL_FRESH,		/* the judgement may become the flow's, nothing of it is written */
	PK_STALL_REASON_KEPT,	/* its reason is written */
	PK_STALL_WORDS_KEPT,	/* its words are written */
	PK_STALL_PLACE_LOOKED,	/* a place looked free, it isn't taken */
	PK_STALL_PLACE_TAKEN,	/* a place is taken, its flow isn't in the table */
	PK_STALL_FLOW_INSERTED, /* a new flow is in the table, without its words */
	PK_STALL_DELIVERING,	/* allowed, its receiver isn't read */
	PK_STALL_ERROR_FOUND,	/* the flow of an ICMP error is found, its words aren't read */
	PK_STALL_ALIAS_TRIED,	/* a new flow's alias is in the table or refused, the flow isn't */
};

#if defined(__bpf__) && defined(PK_STALLS)
#define PK_STALL_ROUNDS	 (1 << 23)
#define PK_STALL(moment) pk_stall(PK_STALL_##moment)

volatile __u32 stall_armed, stall_held, stall_go, stall_late;

static int stall_round(__u32 nr, void *unused)
{
	/* Reading the clock is what makes a round take time. */
	return stall_go || !bpf_ktime_get_ns();
}

__noinline int pk_stall(__u32 moment)
{
	if (stall_armed != moment || __sync_val_compare_and_swap(&stall_armed, moment, 0) != moment)
		return 0;
	stall_held++;
	bpf_loop(PK_STALL_ROUNDS, stall_round, NULL, 0);
	if (!stall_go)
		stall_late = 1;
	stall_go = 0;
	return 0;
}
#else
#define PK_STALL(moment)                                                                           \
	do {                                                                                       \
	} while (0)
#endif
