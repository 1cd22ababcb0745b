// SPDX-License-Identifier: Apache-2.0
/*
 * What a verdict costs, by BPF_PROG_TEST_RUN of the real programs on tables filled as the BPF tests
 * fill them. Prints {"name": {"ours": [ns, …], "beside": [ns, …]}, …}, one figure a round, the cost
 * of a run without a verdict subtracted. A figure counts only where the expected counter rose by
 * exactly the number of repeats.
 *
 *	verdict [-profile FILE] [ROW…]
 *
 * -profile runs the rows alone, nothing beside them, and says in FILE where each source line lies
 * (bench/profile.py).
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lines.h"
#include "tests/bpf/node.h"
#include "verdict.skel.h"

#define ROUNDS	   9
#define REPEAT	   1000000
#define FRAME	   96
#define NODE_V4	   0xc0000201
#define HOST_FLOWS 100000 /* of ours, beside the node's own traffic */
#define LISTED	   50000  /* prefixes of the operator's list, WHO_WORLD's the last */
#define MANY	   64000  /* live flows, of which a run takes any */
#define RULES	   10000
#define PEERS	   100000

static struct pk_cost *bench;
static bool profiled;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void load(void)
{
	struct bpf_map *map;

	bench = pk_cost__open();
	if (!bench)
		die("open");
	bpf_object__for_each_map(map, bench->obj)
	{
		int fd = node_map(bpf_map__name(map));

		/* The slow path is this object's own. */
		if (fd >= 0 && strcmp(bpf_map__name(map), "programs"))
			bpf_map__reuse_fd(map, fd);
	}
	if (pk_cost__load(bench))
		die("load");
}

/* ns a run, on average over all repeats. */
static double run(const struct bpf_program *prog, const struct pkt *p, uint32_t ifindex, int repeat)
{
	struct __sk_buff ctx = { .ifindex = ifindex };
	uint8_t frame[FRAME] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = repeat);
	uint32_t zero = 0;

	memcpy(frame, p->b, p->len < FRAME ? p->len : FRAME);
	bpf_map_update_elem(bpf_map__fd(bench->maps.frame), &zero, frame, BPF_ANY);
	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		die("run");
	return opts.duration;
}

struct row {
	const char *name;
	const struct bpf_program *prog;
	struct pkt p;
	uint32_t slot; /* whose device; 0 = up0 */
	uint32_t at;   /* where it counts */
	enum pk_dir dir;
	int reason; /* -1: counted nowhere */
};

/* What a row is measured against: a run of it without a verdict, and what is interleaved with it. */
struct against {
	const struct bpf_program *empty, *beside;
	struct pkt p; /* of beside */
};

static void print(const char *name, const double *ns)
{
	printf("\"%s\": [", name);
	for (int i = 0; i < ROUNDS; i++)
		printf("%s%.1f", i ? ", " : "", ns[i]);
	printf("]");
}

static void measure(const struct row *row, const struct against *a)
{
	static const char *between = "{\n";
	uint32_t ifindex = row->slot ? node_ifindex(row->slot) : if_nametoindex("up0");
	double ours[ROUNDS], beside[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		double empty = profiled ? 0 : run(a->empty, &row->p, ifindex, REPEAT);
		uint64_t before =
			row->reason < 0 ? 0 : node_counter(row->at, row->dir, row->reason);

		ours[i] = run(row->prog, &row->p, ifindex, REPEAT) - empty;
		if (row->reason >= 0 &&
		    node_counter(row->at, row->dir, row->reason) != before + REPEAT) {
			fprintf(stderr, "verdict: %s: not what was to be measured\n", row->name);
			exit(1);
		}
		if (profiled)
			continue;
		empty = run(bench->progs.bench_empty, &a->p, node_ifindex(1), REPEAT);
		beside[i] = run(a->beside, &a->p, node_ifindex(1), REPEAT) - empty;
	}
	if (profiled)
		return;
	printf("%s\"%s\": {", between, row->name);
	print("ours", ours);
	printf(", ");
	print("beside", beside);
	printf("}");
	fflush(stdout);
	between = ",\n";
}

static void settle(struct pk_node *n)
{
	n->uplink[0] = (struct pk_uplink){ .ifindex = if_nametoindex("up0"),
					   .mtu = 1500,
					   .ipv4 = pkt_ip4(WHO_HOST),
					   .ipv6 = pkt_ip6(WHO_HOST) };
	n->masquerade_low = 10000;
	n->masquerade_high = 19999;
	n->flags = PK_NODE_DEFAULT4 | PK_NODE_DEFAULT6;
	n->events = 0;
}

/* The operator's list, beside a short one of the rule set's own: both are asked. */
static void list_prefixes(void)
{
	struct pk_rule_set rs = { .list = { [PK_LIST_OWN] = 1, [PK_LIST_ALL] = 200 },
				  .entries = 1 };
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_ALL };
	struct pk_cidr_key prefix = { .prefixlen = 32 + 96 + 24, .list = 200 };
	uint32_t one = 1, class = PK_CLASS_ALL;

	for (uint32_t i = 0; i < LISTED; i++) {
		prefix.addr = pkt_ip4(WHO_WORLD);
		prefix.addr.w[3] = htonl(ntohl(prefix.addr.w[3]) - ((LISTED - 1 - i) << 8));
		if (bpf_map_update_elem(node_map("cidr"), &prefix, &class, BPF_ANY))
			die("list");
	}
	bpf_map_update_elem(node_map("rule_sets"), &one, &rs, BPF_ANY);
	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 99);
}

/* The rules and the peers of a large node; none of them is asked once a flow is judged. */
static void fill_tables(void)
{
	struct pk_verdict_key rule = { .prefixlen = PK_VERDICT_BITS_PORT,
				       .rule_set = 1,
				       .proto = 6 };
	struct pk_peer_class_key peer = { .rule_set = 1 };
	struct pk_remote remote = { .tenant = 1 };
	union pk_addr addr = pkt_ip4(WHO_WORLD);
	uint32_t class = PK_CLASS_SAME_TENANT;

	for (uint32_t i = 0; i < RULES; i++) {
		rule.class = 1000 + i / 100;
		rule.port = htons((uint16_t)(1000 + i % 100));
		node_verdict(&rule, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), i);
	}
	for (uint32_t i = 0; i < PEERS; i++) {
		remote.identity = peer.peer = 1000 + i;
		addr.w[3] = htonl(0x0b000000 + i);
		if (bpf_map_update_elem(node_map("remote"), &addr, &remote, BPF_ANY) ||
		    bpf_map_update_elem(node_map("peer_class"), &peer, &class, BPF_ANY))
			die("peers");
	}
}

static void open_flow(uint32_t slot, struct pkt p, uint32_t back, struct pkt answer)
{
	if (node_run(NODE_FROM, slot, &p, NULL) != 7 ||
	    (back && node_run(NODE_FROM, back, &answer, NULL) != 7)) {
		fprintf(stderr, "verdict: a flow couldn't be opened\n");
		exit(1);
	}
}

static void publish(void)
{
	struct pk_published_key key = { .proto = 6, .port = htons(8080) };
	struct pk_published to = { .slot = 1, .port = htons(80) };

	node_publish(&key, &to);
}

/* Flows that have nothing to do with what is measured. */
static void crowd(uint32_t n)
{
	struct pk_flow flow = { .kind = PK_FLOW_PRIMARY };
	struct pk_flow_key key = { .src = pkt_ip4(WHO_A), .dst = pkt_ip4(WHO_WORLD), .proto = 17 };

	for (uint32_t i = 0; i < n; i++) {
		key.sport = htons((uint16_t)(1 + i % 65000));
		key.dport = htons((uint16_t)(1 + i / 65000));
		if (bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_ANY))
			die("crowd");
	}
}

/* What is measured is a flow that both ends went on with: the node's stack isn't there to. */
static void go_on(void)
{
	const int flows = node_map("flows");
	struct pk_flow_key key, *at = NULL;
	struct pk_flow flow;

	for (; !bpf_map_get_next_key(flows, at, &key); at = &key) {
		if (bpf_map_lookup_elem(flows, &key, &flow) || flow.kind != PK_FLOW_PRIMARY)
			continue;
		flow.state = PK_FLOW_OPEN;
		flow.scale |= PK_FLOW_OPENED;
		if (bpf_map_update_elem(flows, &key, &flow, BPF_EXIST))
			die("go on");
	}
}

static void open_all(void)
{
	node_reset();
	node_settings(settle);
	publish();
	for (uint32_t slot = 1; slot <= 3; slot++)
		node_word(slot, slot == 3 ? 2 : 1, PK_WORD_MASQUERADE, 1);
	open_flow(1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), 2,
		  pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK)));
	open_flow(1, pkt_v6(WHO_A, WHO_B, TCP(40000, 80, SYN)), 2,
		  pkt_v6(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK)));
	open_flow(1, pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN)), 0, (struct pkt){ 0 });
	open_flow(2, pkt_v4_to(WHO_B, NODE_V4, TCP(40000, 8080, SYN)), 1,
		  pkt_v4(WHO_A, WHO_B, TCP(80, 40000, SYN | ACK)));
	go_on();
}

/* The rows named on the command line; all, where none is. */
static bool wanted(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	struct pkt to_b = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK));
	struct pkt spoofed = pkt_v4(WHO_B, WHO_A, TCP(40000, 80, ACK));
	struct pkt hosts = pkt_v4_to(WHO_WORLD, NODE_V4, TCP(50000, 22, ACK));

	node_flow_room(HOST_FLOWS + 1000);
	if (node_start())
		die("start");
	load();
	profiled = argc > 2 && !strcmp(argv[1], "-profile");
	if (profiled && !lines_of(bench->obj, argv[2]))
		die(argv[2]);
	if (profiled) {
		argc -= 2;
		argv += 2;
	}
	const struct bpf_program *from = bench->progs.bench_from;
	const struct row rows[] = {
		{ "D1", from, to_b, 1, 1, PK_EGRESS, PK_REASON_OK },
		{ "D1.reply", from, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, ACK)), 2, 2, PK_EGRESS,
		  PK_REASON_OK },
		{ "D2.ipv6", from, pkt_v6(WHO_A, WHO_B, TCP(40000, 80, ACK)), 1, 1, PK_EGRESS,
		  PK_REASON_OK },
		{ "D2.service", from, pkt_v4_to(WHO_B, NODE_V4, TCP(40000, 8080, ACK)), 2, 2,
		  PK_EGRESS, PK_REASON_OK },
		{ "D2.masquerade", from, pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, ACK)), 1, 1,
		  PK_EGRESS, PK_REASON_OK },
		{ "D4.denied", from, pkt_v4(WHO_A, WHO_C, TCP(40000, 80, SYN)), 1, 1, PK_EGRESS,
		  PK_REASON_POLICY_DENIED },
		{ "D4.spoofed", from, spoofed, 1, 1, PK_EGRESS, PK_REASON_SPOOFED_MAC },
		{ "D4.first", bench->progs.bench_first, pkt_v4(WHO_A, WHO_B, TCP(40001, 80, SYN)),
		  1, 1, PK_EGRESS, PK_REASON_OK },
		{ "D4.world", bench->progs.bench_first,
		  pkt_v4(WHO_A, WHO_WORLD, TCP(40001, 443, SYN)), 1, 1, PK_EGRESS, PK_REASON_OK },
		{ "D4.cidr", bench->progs.bench_first,
		  pkt_v4(WHO_A, WHO_WORLD, TCP(40001, 443, SYN)), 1, 1, PK_EGRESS, PK_REASON_OK },
		{ "D10.0", bench->progs.bench_up, hosts, 0, 0, PK_INGRESS, -1 },
		{ "D10.range", bench->progs.bench_up,
		  pkt_v4_to(WHO_WORLD, NODE_V4, TCP(443, 15000, ACK)), 0, 0, PK_INGRESS, -1 },
		{ "D10.published", bench->progs.bench_up,
		  pkt_v4_to(WHO_WORLD, NODE_V4, TCP(50000, 8081, ACK)), 0, 0, PK_INGRESS, -1 },
	};
	const struct row crowded = {
		"D10.100000", bench->progs.bench_up, hosts, 0, 0, PK_INGRESS, -1
	};
	const struct row any = {
		"D3", bench->progs.bench_any, to_b, 1, 1, PK_EGRESS, PK_REASON_OK
	};
	const struct row any_floor = {
		"D3.floor", bench->progs.bench_any_floor, to_b, 1, 1, PK_EGRESS, -1
	};
	const struct against floor = { bench->progs.bench_empty, bench->progs.bench_floor, to_b };
	const struct against established = { bench->progs.bench_any_empty, from, to_b };
	const struct against at_random = { bench->progs.bench_any_empty, bench->progs.bench_floor,
					   to_b };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		open_all(); /* a flow that nobody answers lives a minute */
		if (!strcmp(rows[i].name, "D4.world") || !strcmp(rows[i].name, "D4.cidr"))
			node_word(1, 1, 0, 2); /* routed: a port is nothing of policy's */
		if (!strcmp(rows[i].name, "D4.cidr"))
			list_prefixes();
		if (wanted(argc, argv, rows[i].name))
			measure(&rows[i], &floor);
	}
	if (wanted(argc, argv, any.name)) {
		open_all();
		fill_tables();
		run(bench->progs.bench_any_open, &to_b, node_ifindex(1), MANY);
		measure(&any, &established);
		measure(&any_floor, &at_random);
		open_all();
	}
	if (wanted(argc, argv, crowded.name)) {
		crowd(HOST_FLOWS);
		measure(&crowded, &floor);
	}
	printf("}\n");
	pk_cost__destroy(bench);
	node_stop();
	return 0;
}
