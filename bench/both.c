// SPDX-License-Identifier: Apache-2.0
/*
 * Both directions of one established flow at once, on two processors, beside each alone: what the
 * lines that both write and both read cost. Prints {"both": [ns, …], "alone": [ns, …]}, one figure a
 * round, the mean of the two directions, the cost of a run without a verdict subtracted.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bpf/node.h"
#include "verdict.skel.h"

#define ROUNDS 15
#define REPEAT 1000000
#define FRAME  96

/* One direction: its packet, and an object of its own, which restores that packet for each run. */
struct direction {
	struct pk_cost *cost;
	struct pkt p;
	uint32_t slot;
	int cpu;
	double ns;
	pthread_barrier_t *begin; /* NULL: it waits for nobody */
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct pk_cost *load(const struct pkt *p)
{
	struct pk_cost *cost = pk_cost__open();
	uint8_t frame[FRAME] = { 0 };
	uint32_t zero = 0;

	if (!cost || node_share(cost->obj) || pk_cost__load(cost))
		die("load");
	memcpy(frame, p->b, p->len < FRAME ? p->len : FRAME);
	if (bpf_map_update_elem(bpf_map__fd(cost->maps.frame), &zero, frame, BPF_ANY))
		die("frame");
	return cost;
}

static double run(const struct bpf_program *prog, uint32_t slot)
{
	struct __sk_buff ctx = { .ifindex = node_ifindex(slot) };
	uint8_t frame[FRAME] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = REPEAT);

	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		die("run");
	return opts.duration;
}

static void *carry(void *arg)
{
	struct direction *d = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(d->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("processor");
	if (d->begin)
		pthread_barrier_wait(d->begin);
	d->ns = run(d->cost->progs.bench_from, d->slot);
	return NULL;
}

/* ns a packet, of both directions as they run: at once, or one after the other. */
static double measure(struct direction d[2], pthread_barrier_t *begin)
{
	uint64_t before =
		node_counter(1, PK_EGRESS, PK_REASON_OK) + node_counter(2, PK_EGRESS, PK_REASON_OK);
	double empty = run(d[0].cost->progs.bench_empty, 1);
	pthread_t threads[2];

	for (int i = 0; i < 2; i++) {
		d[i].begin = begin;
		if (pthread_create(&threads[i], NULL, carry, &d[i]))
			die("thread");
		if (!begin)
			pthread_join(threads[i], NULL);
	}
	for (int i = 0; begin && i < 2; i++)
		pthread_join(threads[i], NULL);
	if (node_counter(1, PK_EGRESS, PK_REASON_OK) + node_counter(2, PK_EGRESS, PK_REASON_OK) !=
	    before + 2ull * REPEAT) {
		fprintf(stderr, "both: not what was to be measured\n");
		exit(1);
	}
	return (d[0].ns + d[1].ns) / 2 - empty;
}

static void print(const char *name, const double *ns, const char *end)
{
	printf("\"%s\": [", name);
	for (int i = 0; i < ROUNDS; i++)
		printf("%s%.1f", i ? ", " : "", ns[i]);
	printf("]%s", end);
}

int main(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));
	struct pkt reply = pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK));
	struct direction d[2] = {
		{ .p = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)), .slot = 1, .cpu = 0 },
		{ .p = pkt_v4(WHO_B, WHO_A, TCP(80, 40000, ACK)), .slot = 2, .cpu = 1 },
	};
	double both[ROUNDS], alone[ROUNDS];
	pthread_barrier_t begin;

	if (node_start())
		die("start");
	node_reset();
	if (node_run(NODE_FROM, 1, &syn, NULL) != 7 || node_run(NODE_FROM, 2, &reply, NULL) != 7)
		die("flow");
	pthread_barrier_init(&begin, NULL, 2);
	for (int i = 0; i < 2; i++)
		d[i].cost = load(&d[i].p);
	for (int i = 0; i < ROUNDS; i++) {
		alone[i] = measure(d, NULL);
		both[i] = measure(d, &begin);
	}
	printf("{");
	print("both", both, ", ");
	print("alone", alone, "}\n");
	for (int i = 0; i < 2; i++)
		pk_cost__destroy(d[i].cost);
	node_stop();
	return 0;
}
