// SPDX-License-Identifier: Apache-2.0
/*
 * Flow life at the default budget, in real time and on the real programs: a resolver's 500 answered
 * questions a second, and a proxy's 4,000 live connections with 500 short ones a second beside.
 * Prints {"resolver": denied, "proxy": denied, "seconds": …}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "picket/limits.h"
#include "tests/bpf/node.h"

#define RATE 500
#define LIVE 4000

static bool denied(uint32_t slot, struct pkt p)
{
	return node_run(NODE_FROM, slot, &p, NULL) == 2;
}

static void settle(struct pk_node *n)
{
	n->flow_budget = PK_FLOW_BUDGET_DEFAULT;
	n->events = 0;
}

/* Calls each(i) at RATE a second; how many of its packets were denied. */
static unsigned long pace(int seconds, unsigned int (*each)(unsigned int i))
{
	struct timespec next;
	unsigned long sum = 0;

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (unsigned int i = 0; i < (unsigned int)seconds * RATE; i++) {
		sum += each(i);
		next.tv_nsec += 1000000000 / RATE;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	return sum;
}

static unsigned int question(unsigned int i)
{
	uint16_t port = (uint16_t)(1024 + i % 60000);

	return denied(1, pkt_v4(WHO_A, WHO_B, UDP(port, 53))) +
	       denied(2, pkt_v4(WHO_B, WHO_A, UDP(53, port)));
}

static unsigned int connection(unsigned int i)
{
	uint16_t port = (uint16_t)(10000 + i % 50000), live = (uint16_t)(1000 + i % LIVE);

	return denied(1, pkt_v4(WHO_A, WHO_B, TCP(port, 80, SYN))) +
	       denied(2, pkt_v4(WHO_B, WHO_A, TCP(80, port, SYN | ACK))) +
	       denied(1, pkt_v4(WHO_A, WHO_B, TCP(port, 80, FIN | ACK))) +
	       denied(2, pkt_v4(WHO_B, WHO_A, TCP(80, port, FIN | ACK))) +
	       denied(1, pkt_v4(WHO_A, WHO_B, TCP(live, 443, ACK)));
}

static unsigned long open_live(void)
{
	unsigned long sum = 0;

	for (int i = 0; i < LIVE; i++) {
		sum += denied(1, pkt_v4(WHO_A, WHO_B, TCP(1000 + i, 443, SYN)));
		sum += denied(2, pkt_v4(WHO_B, WHO_A, TCP(443, 1000 + i, SYN | ACK)));
	}
	return sum;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 300;
	unsigned long resolver, proxy;

	node_flow_room(NODE_SLOTS * PK_FLOW_BUDGET_DEFAULT);
	if (node_start())
		return 1;
	node_reset();
	node_settings(settle);
	resolver = pace(seconds, question);
	node_reset();
	node_settings(settle);
	proxy = open_live();
	proxy += pace(seconds / 5, connection);
	printf("{\"resolver\": %lu, \"proxy\": %lu, \"seconds\": %d}\n", resolver, proxy, seconds);
	node_stop();
	return 0;
}
