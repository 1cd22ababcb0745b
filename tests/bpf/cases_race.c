// SPDX-License-Identifier: Apache-2.0
/*
 * An endpoint is switched between two rule sets while two other CPUs carry its
 * flow. What the guard says after a switch is what the new rule set says, and stays so.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "tests/bpf/node.h"

#define SWITCHES 500000
#define OPEN	 1
#define SHUT	 3

static atomic_bool over;

struct side {
	uint32_t slot;
	struct pkt p;
};

static void *carry(void *arg)
{
	const struct side *side = arg;

	while (!atomic_load(&over)) {
		struct pkt p = side->p;

		node_run(NODE_FROM, side->slot, &p, NULL);
	}
	return NULL;
}

static void rule_sets(void)
{
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = SHUT,
				      .class = PK_CLASS_SAME_TENANT,
				      .dir = PK_INGRESS };

	node_reset();
	node_baseline(SHUT);
	node_verdict(&key, PK_DENY, PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY), 64);
}

/* B's rule set is switched; how many packets that A sent after it were judged by the other one. */
static int switched(void)
{
	uint32_t rounds = 2 * node_rounds(SWITCHES / 2); /* the last one opens */
	int wrong = 0;
	uint64_t *words =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, node_map("words"), 0);

	if (words == MAP_FAILED)
		return -1;
	for (uint32_t i = 0; i < rounds; i++) {
		uint32_t set = i & 1 ? OPEN : SHUT;

		__atomic_store_n(&words[2], PK_WORD(set, 0, 2 + i), __ATOMIC_SEQ_CST);
		for (volatile uint32_t n = 0; n < i * 7 % 61; n++)
			; /* the next switch meets the other CPUs at another place */
		if (i % 17 && i + 1 < rounds)
			continue;
		for (int again = 0; again < 3; again++) {
			struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));
			int ret = node_run(NODE_FROM, 1, &p, NULL);

			wrong += (ret == 2) != (set == SHUT);
		}
	}
	return wrong;
}

void cases_race(void)
{
	struct side sides[] = { { 1, pkt_v4(WHO_A, WHO_B, UDP(40000, 53)) },
				{ 2, pkt_v4(WHO_B, WHO_A, UDP(53, 40000)) } };
	pthread_t threads[2];
	int wrong;

	rule_sets();
	node_from("A sends to B", 1, sides[0].p, PK_REASON_OK);
	node_from("B replies", 2, sides[1].p, PK_REASON_OK);
	atomic_store(&over, false);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, carry, &sides[i]))
			return (void)check("threads", false);
	wrong = switched();
	atomic_store(&over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	if (!check("each verdict is the last switch's", !wrong))
		printf("  %d packets were judged by the other rule set\n", wrong);
	node_from("what the last switch says holds", 1, sides[0].p, PK_REASON_OK);
	check("one flow throughout", node_flows() == 1);
}
