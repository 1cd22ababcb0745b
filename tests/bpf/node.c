// SPDX-License-Identifier: GPL-2.0-only
/* The loaded guard, its node and its expectations. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpfobj.h"
#include "guard.skel.h"
#include "picket/query.h"
#include "tests/bpf/node.h"

#define ROWS (NODE_SLOTS * 2 * PK_REASON_SLOTS)

static struct pk_guard *guard;
static uint64_t before[ROWS];
static int n_passed, n_failed;
static bool first; /* the first failure is the last one */
static uint32_t revision;
static uint32_t ifindexes[NODE_SLOTS];

static int shell(const char *command)
{
	int r = system(command);

	if (r)
		fprintf(stderr, "bpf-test: '%s' failed\n", command);
	return r ? -EIO : 0;
}

static int devices(void)
{
	static const char *const commands[] = {
		"ip link set lo up",
		"ip link add up0 type veth peer name up1 && ip link set up1 up",
		"ip addr add 192.0.2.1/24 dev up0",
		"ip addr add fd00:2::1/64 dev up0 nodad",
		"ip link set up0 up",
		"ip route add default via 192.0.2.254 dev up0",
		"ip -6 route add default via fd00:2::fe dev up0",
		"ip route add unreachable 203.0.113.0/24",
		"ip -6 route add unreachable 2001:db8:dead::/48",
	};
	char line[256];

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (shell(commands[i]))
			return -EIO;
	for (uint32_t slot = 1; slot < NODE_SLOTS; slot++) {
		snprintf(line, sizeof(line),
			 "ip link add pk%u type veth peer name e%u && ip link set pk%u up && "
			 "echo 1 > /proc/sys/net/ipv4/conf/pk%u/forwarding && "
			 "echo 1 > /proc/sys/net/ipv6/conf/pk%u/forwarding",
			 slot, slot, slot, slot, slot);
		if (shell(line))
			return -EIO;
		snprintf(line, sizeof(line), "pk%u", slot);
		ifindexes[slot] = if_nametoindex(line);
	}
	return 0;
}

int node_map(const char *name)
{
	return bpf_object__find_map_fd_by_name(guard->obj, name);
}

static void set(const char *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(node_map(map), key, value, BPF_ANY)) {
		perror(map);
		exit(1);
	}
}

static void sizes(struct pk_guard *skel)
{
	bpf_map__set_max_entries(skel->maps.endpoints, NODE_SLOTS);
	bpf_map__set_max_entries(skel->maps.words, NODE_SLOTS);
	bpf_map__set_max_entries(skel->maps.buckets, NODE_SLOTS);
	bpf_map__set_max_entries(skel->maps.counters, ROWS);
	bpf_map__set_max_entries(skel->maps.places, NODE_SLOTS * NODE_BUDGET);
	bpf_map__set_max_entries(skel->maps.flows, 2 * NODE_BUDGET);
	bpf_map__set_max_entries(skel->maps.rule_sets, 8);
}

int node_start(bool only_first)
{
	first = only_first;
	if (unshare(CLONE_NEWNET)) {
		perror("bpf-test: a network namespace");
		return -errno;
	}
	if (devices())
		return -EIO;
	guard = pk_guard__open();
	if (!guard)
		return -errno;
	sizes(guard);
	guard->rodata->pk_kfunc = pk_bpf_has_kfunc() > 0;
	return pk_guard__load(guard) ? -ENOEXEC : 0;
}

struct bpf_object *node_object(void)
{
	return guard->obj;
}

struct pk_guard *node_open_probe(void)
{
	struct pk_guard *probe = pk_guard__open();

	if (!probe)
		return NULL;
	sizes(probe);
	probe->rodata->pk_kfunc = false;
	if (!pk_guard__load(probe))
		return probe;
	pk_guard__destroy(probe);
	return NULL;
}

uint32_t node_rounds(uint32_t rounds)
{
	const char *scale = getenv("PK_SCALE");
	uint32_t n = scale ? strtoul(scale, NULL, 10) : 1;

	if (n < 2)
		return rounds;
	printf("%u rounds in place of %u: PK_SCALE is %u\n", rounds / n + 1, rounds, n);
	return rounds / n + 1;
}

void node_stop(void)
{
	pk_guard__destroy(guard);
}

void node_forwarding(uint32_t slot, bool on)
{
	char line[96];

	snprintf(line, sizeof(line), "echo %d > /proc/sys/net/ipv4/conf/pk%u/forwarding", on, slot);
	if (shell(line))
		exit(1);
}

uint32_t node_ifindex(uint32_t slot)
{
	return ifindexes[slot];
}

/* Deletes every entry of a hash or trie. */
static void empty(const char *map)
{
	uint8_t key[128];
	int fd = node_map(map);

	while (!bpf_map_get_next_key(fd, NULL, key))
		bpf_map_delete_elem(fd, key);
}

static void zero(const char *map, uint32_t entries, size_t size)
{
	uint8_t *value = calloc(1, size);

	for (uint32_t i = 0; i < entries; i++)
		set(map, &i, value);
	free(value);
}

void node_endpoint(uint32_t slot, struct pk_endpoint *out)
{
	bpf_map_lookup_elem(node_map("endpoints"), &slot, out);
}

void node_endpoint_set(uint32_t slot, const struct pk_endpoint *ep)
{
	set("endpoints", &slot, ep);
}

static void endpoint(uint32_t slot)
{
	enum who who = WHO_A + slot - 1;
	uint32_t tenant = slot == 3 ? 2 : 1;
	struct pk_endpoint ep = {
		.ipv4 = pkt_ip4(who),
		.ipv6 = pkt_ip6(who),
		.gateway4 = pkt_ip4(WHO_GATEWAY),
		.ipv4_prefix = 24,
		.host_ifindex = ifindexes[slot],
		.identity = 100 + slot,
		.tenant = tenant,
		.mtu = 1500,
		.opened = 1,
		.dns4 = { htonl(0x0a000035), 0 },
		.dns6 = { { .b = { 0xfd, [15] = 0x53 } } },
	};
	struct pk_local local = { slot, 100 + slot, tenant, 0 };

	pkt_mac(who, ep.mac);
	node_endpoint_set(slot, &ep);
	set("slots", &ifindexes[slot], &slot);
	set("by_address", &ep.ipv4, &local);
	set("by_address", &ep.ipv6, &local);
}

void node_word(uint32_t slot, uint32_t rule_set, uint32_t flags, uint32_t rev)
{
	uint64_t word = rev ? PK_WORD(rule_set, flags, rev) : 0;

	set("words", &slot, &word);
}

void node_verdict(const struct pk_verdict_key *key, uint8_t verdict, uint8_t rank, uint32_t rule)
{
	struct pk_judgement j = { .verdict = verdict, .rank = rank, .rule = rule };
	struct pk_verdict_value v = { j, j };

	set("verdicts", key, &v);
}

void node_no_verdict(const struct pk_verdict_key *key)
{
	bpf_map_delete_elem(node_map("verdicts"), key);
}

void node_cidr(uint32_t list, const char *prefix, uint32_t bits, uint32_t class)
{
	struct pk_cidr_key key = { .prefixlen = 32 + bits, .list = list };
	struct in_addr v4;

	if (inet_pton(AF_INET, prefix, &v4) == 1) {
		key.prefixlen += 96;
		key.addr = (union pk_addr){ .b = { [10] = 0xff, 0xff } };
		key.addr.w[3] = v4.s_addr;
	} else {
		inet_pton(AF_INET6, prefix, &key.addr);
	}
	set("cidr", &key, &class);
}

void node_settings(void (*edit)(struct pk_node *n))
{
	struct pk_node n;
	uint32_t at = 0;

	bpf_map_lookup_elem(node_map("node"), &at, &n);
	edit(&n);
	set("node", &at, &n);
}

uint64_t node_flows(void)
{
	struct pk_flow_key key, *at = NULL;
	uint64_t n = 0;

	while (!bpf_map_get_next_key(node_map("flows"), at, &key)) {
		at = &key;
		n++;
	}
	return n;
}

int node_tail(uint32_t place, bool there)
{
	static const char *const targets[] = { NULL,	      "pk_miss",     "pk_miss_to",
					       "pk_answer",   "pk_miss_up",  "pk_error",
					       "pk_error_to", "pk_error_up", "pk_tell_sender" };
	int fd = node_map("programs"), prog;

	if (!there)
		return bpf_map_delete_elem(fd, &place);
	prog = bpf_program__fd(bpf_object__find_program_by_name(guard->obj, targets[place]));
	return bpf_map_update_elem(fd, &place, &prog, BPF_ANY);
}

void node_baseline(uint32_t set_nr)
{
	struct pk_rule_set rs = { .list = { set_nr, 0 }, .entries = 4, .digest = { set_nr } };
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR, .rule_set = set_nr };
	const uint8_t allow = PK_RANK(PK_TIER_BUILTIN, PK_KIND_ALLOW);

	set("rule_sets", &set_nr, &rs);
	key.class = PK_CLASS_SAME_TENANT;
	for (key.dir = PK_EGRESS; key.dir <= PK_INGRESS; key.dir++)
		node_verdict(&key, PK_ALLOW, allow, PK_RULE_SAME_TENANT);
	key.dir = PK_EGRESS;
	key.class = PK_CLASS_WORLD4;
	node_verdict(&key, PK_ALLOW, allow, PK_RULE_WORLD);
	key.class = PK_CLASS_WORLD6;
	node_verdict(&key, PK_ALLOW, allow, PK_RULE_WORLD);
	key.class = PK_CLASS_FIRST;
	node_verdict(&key, PK_DENY, PK_RANK(PK_TIER_BUILTIN, PK_KIND_DENY), PK_RULE_PROTECTED);
	node_cidr(set_nr, "169.254.0.0", 16, PK_CLASS_FIRST);
	node_cidr(set_nr, "10.0.0.0", 8, PK_CLASS_FIRST);
	node_cidr(set_nr, "fc00::", 7, PK_CLASS_FIRST);
}

static void pool(const char *prefix, uint32_t bits)
{
	struct pk_pool_key key = { .prefixlen = bits };
	struct in_addr v4;
	uint32_t one = 1;

	if (inet_pton(AF_INET, prefix, &v4) == 1) {
		key.prefixlen += 96;
		key.addr = (union pk_addr){ .b = { [10] = 0xff, 0xff } };
		key.addr.w[3] = v4.s_addr;
	} else {
		inet_pton(AF_INET6, prefix, &key.addr);
	}
	set("pools", &key, &one);
}

void node_reset(void)
{
	static const char *const hashes[] = { "slots",	    "by_address", "remote", "pools",
					      "open_ports", "published",  "cidr",   "peer_class",
					      "verdicts",   "flows" };
	struct pk_node n = { .layout = PK_LAYOUT,
			     .capacity = NODE_SLOTS - 1,
			     .flow_budget = NODE_BUDGET,
			     .events = 1 };
	uint32_t at = 0;

	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++)
		empty(hashes[i]);
	zero("rule_sets", 8, sizeof(struct pk_rule_set));
	zero("buckets", NODE_SLOTS, sizeof(struct pk_bucket));
	zero("places", NODE_SLOTS * NODE_BUDGET, sizeof(struct pk_flow_key));
	set("node", &at, &n);
	pool("10.20.0.0", 24);
	pool("fd00:20::", 64);
	node_baseline(1);
	node_baseline(2);
	for (uint32_t slot = 1; slot < NODE_SLOTS; slot++) {
		endpoint(slot);
		node_word(slot, slot == 3 ? 2 : 1, 0, slot == 4 ? 0 : 1);
	}
	revision = 1;
}

static uint64_t counter(uint32_t row)
{
	int cpus = libbpf_num_possible_cpus();
	struct pk_counter *value = calloc(cpus, sizeof(*value));
	uint64_t total = 0;

	bpf_map_lookup_elem(node_map("counters"), &row, value);
	for (int i = 0; i < cpus; i++)
		total += value[i].packets;
	free(value);
	return total;
}

int node_run(enum node_prog which, uint32_t slot, struct pkt *p, const struct node_meta *meta)
{
	struct bpf_program *progs[] = { guard->progs.pk_from_endpoint, guard->progs.pk_to_endpoint,
					guard->progs.pk_forward_tap, guard->progs.pk_forward_eth,
					guard->progs.pk_from_uplink };
	struct __sk_buff ctx = { .ifindex = slot ? ifindexes[slot] : 1 };
	uint8_t out[sizeof(p->b)];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->b, .data_size_in = p->len,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);

	if (which == NODE_UP)
		ctx.ifindex = if_nametoindex("up0");
	if (meta) {
		ctx.gso_size = meta->gso_size;
		ctx.ingress_ifindex = meta->ingress_ifindex;
		if (meta->ifindex)
			ctx.ifindex = meta->ifindex;
	}
	if (bpf_prog_test_run_opts(bpf_program__fd(progs[which]), &opts))
		return -errno;
	memcpy(p->b, out, opts.data_size_out);
	p->len = opts.data_size_out;
	return opts.retval;
}

bool check(const char *text, bool holds)
{
	if (holds) {
		n_passed++;
	} else {
		n_failed++;
		printf("FAILED %s\n", text);
		if (first)
			exit(1);
	}
	return holds;
}

void node_totals(int *passed, int *failed)
{
	*passed = n_passed;
	*failed = n_failed;
}

static void prove(enum pk_reason reason)
{
#define NAME(nr, sym, name, built, help) [nr] = name,
	static const char *const names[] = { PK_REASONS(NAME) };
#undef NAME
	const char *path = getenv("PK_PROVED");
	FILE *f = path ? fopen(path, "a") : NULL;

	if (!f)
		return;
	fprintf(f, "%s\n", names[reason]);
	fclose(f);
}

/* Says what was counted instead. */
static void differ(const struct expect *e, int ret)
{
	printf("  want reason %d at slot %u dir %d; returned %d, counted", e->reason, e->slot,
	       e->dir, ret);
	for (uint32_t row = 0; row < ROWS; row++) {
		uint64_t n = counter(row) - before[row];

		if (n)
			printf(" {slot %u dir %u reason %u: %lu}", row / PK_REASON_SLOTS / 2,
			       row / PK_REASON_SLOTS % 2, row % PK_REASON_SLOTS, n);
	}
	printf("\n");
}

/* Denied after the verdict, which allowed it: its flow is there. */
static bool at_delivery(enum pk_reason reason)
{
	return reason == PK_REASON_TTL || reason == PK_REASON_LENGTH ||
	       reason == PK_REASON_RATE_LIMIT;
}

bool node_expect(const struct expect *e, enum node_prog prog, uint32_t slot, struct pkt *p,
		 const struct node_meta *meta)
{
	uint32_t wanted = PK_COUNTER(e->slot, e->dir, e->reason);
	uint64_t flows = node_flows();
	bool holds;
	int ret;

	for (uint32_t row = 0; row < ROWS; row++)
		before[row] = counter(row);
	ret = node_run(prog, slot, p, meta);
	holds = ret >= 0 && counter(wanted) == before[wanted] + 1;
	for (uint32_t row = 0; row < ROWS; row++)
		if (row != wanted && (e->reason || row % PK_REASON_SLOTS) &&
		    counter(row) != before[row])
			holds = false;
	if (e->reason ? ret != (e->told ? 7 : 2) : ret == 2 || ret < 0)
		holds = false;
	if (e->reason && !at_delivery(e->reason) && node_flows() > flows)
		holds = false;
	check(e->text, holds);
	if (holds)
		prove(e->reason);
	else
		differ(e, ret);
	return holds;
}

bool node_from(const char *text, uint32_t slot, struct pkt p, enum pk_reason reason)
{
	struct expect e = { text, reason, slot, PK_EGRESS, false };

	return node_expect(&e, NODE_FROM, slot, &p, NULL);
}

bool node_from_at(const char *text, uint32_t slot, struct pkt p, uint32_t at, enum pk_reason reason)
{
	struct expect e = { text, reason, at, PK_INGRESS, false };

	return node_expect(&e, NODE_FROM, slot, &p, NULL);
}

bool node_from_told(const char *text, uint32_t slot, struct pkt p, uint32_t at, enum pk_dir dir,
		    enum pk_reason reason)
{
	struct expect e = { text, reason, at, dir, .told = true };

	return node_expect(&e, NODE_FROM, slot, &p, NULL);
}

bool node_to(const char *text, uint32_t slot, struct pkt p, enum pk_reason reason)
{
	struct expect e = { text, reason, slot, PK_INGRESS, false };

	return node_expect(&e, NODE_TO, slot, &p, NULL);
}
