// SPDX-License-Identifier: Apache-2.0
/* The loaded guard and its tables. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bpfobj.h"
#include "guard.skel.h"
#include "picket/query.h"
#include "tests/bpf/devices.h"
#include "tests/bpf/node.h"
#include "tests/bpf/object.h"

static struct pk_guard *guard;
static uint32_t flow_room = 2 * NODE_BUDGET;

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

/* A table that has more room than the tests' budgets need is for a larger one. */
static uint32_t place_room(void)
{
	return flow_room > NODE_SLOTS * NODE_PLACES ? flow_room : NODE_SLOTS * NODE_PLACES;
}

void node_flow_room(uint32_t entries)
{
	flow_room = entries;
}

static void sizes(struct pk_guard *skel)
{
	bpf_map__set_max_entries(skel->maps.endpoints, NODE_SLOTS);
	bpf_map__set_max_entries(skel->maps.answers, NODE_SLOTS);
	bpf_map__set_max_entries(skel->maps.words, NODE_SLOTS);
	bpf_map__set_max_entries(skel->maps.buckets, NODE_SLOTS);
	bpf_map__set_max_entries(skel->maps.counters, NODE_ROWS);
	bpf_map__set_max_entries(skel->maps.places, place_room());
	bpf_map__set_max_entries(skel->maps.flows, flow_room);
	bpf_map__set_max_entries(skel->maps.rule_sets, 8);
	bpf_map__set_max_entries(skel->maps.fragments, NODE_FRAGMENTS);
}

int node_start(void)
{
	int programs[NODE_PROGS], r = devices_start();

	if (r)
		return r;
	guard = object_open(pk_guard, "guard");
	if (!guard)
		return -errno;
	sizes(guard);
	guard->rodata->pk_kfunc = pk_bpf_has_kfunc() > 0;
	if (pk_guard__load(guard))
		return -ENOEXEC;
	for (enum node_prog prog = 0; prog < NODE_PROGS; prog++)
		programs[prog] = node_prog_fd(prog);
	return devices_attach(programs);
}

const char *node_prog_name(enum node_prog prog)
{
	static const char *const names[] = {
		"pk_from_endpoint", "pk_to_endpoint", "pk_forward_tap",
		"pk_forward_eth",   "pk_from_uplink", "pk_from_fabric"
	};

	return names[prog];
}

int node_prog_fd(enum node_prog prog)
{
	return bpf_program__fd(bpf_object__find_program_by_name(guard->obj, node_prog_name(prog)));
}

struct bpf_object *node_object(void)
{
	return guard->obj;
}

struct pk_guard *node_open_probe(void)
{
	struct pk_guard *probe = object_open(pk_guard, "guard");

	if (!probe)
		return NULL;
	sizes(probe);
	probe->rodata->pk_kfunc = false;
	if (!pk_guard__load(probe))
		return probe;
	pk_guard__destroy(probe);
	return NULL;
}

int node_share(struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		const char *name = bpf_map__name(map);

		if (bpf_map__is_internal(map) || !strcmp(name, "programs") ||
		    !strcmp(name, "scratch") || node_map(name) < 0)
			continue;
		if (bpf_map__reuse_fd(map, node_map(name)))
			return -errno;
	}
	return 0;
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
	devices_stop();
	pk_guard__destroy(guard);
}

void node_forwarding(uint32_t slot, bool on)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/pk%u/forwarding", slot);
	f = fopen(path, "w");
	if (!f || fprintf(f, "%d\n", on) < 0 || fclose(f)) {
		perror(path);
		exit(1);
	}
}

uint32_t node_ifindex(uint32_t slot)
{
	return devices_host(slot);
}

/* Deletes every entry of a hash or trie. */
static void empty(const char *map)
{
	uint8_t key[128];
	int fd = node_map(map);

	while (!bpf_map_get_next_key(fd, NULL, key))
		bpf_map_delete_elem(fd, key);
}

/* An array's entries, all in one call: there are thousands of them, and each test begins so. */
static void zero(const char *map, uint32_t entries, size_t size)
{
	uint32_t *keys = calloc(entries, sizeof(*keys)), done = entries;
	uint8_t *values = calloc(entries, size);

	for (uint32_t i = 0; i < entries; i++)
		keys[i] = i;
	if (bpf_map_update_batch(node_map(map), keys, values, &done, NULL) || done != entries) {
		perror(map);
		exit(1);
	}
	free(keys);
	free(values);
}

void node_endpoint(uint32_t slot, struct pk_endpoint *out)
{
	bpf_map_lookup_elem(node_map("endpoints"), &slot, out);
}

void node_endpoint_set(uint32_t slot, const struct pk_endpoint *ep)
{
	set("endpoints", &slot, ep);
}

const struct pk_answers node_untold;
const struct pk_answers node_told = {
	.dhcp6_len = 20,
	.ra_len = 24,
	.servers4 = { 6, 4, 10, 0, 0, 0x35 },
	.dhcp6 = { 0, 23, 0, 16, 0xfd, [19] = 0x53 },
	.ra = { 25, 3, 0, 0, 0, 0, 0x07, 0x08, 0xfd, [23] = 0x53 },
};

void node_answers_set(uint32_t slot, const struct pk_answers *told)
{
	set("answers", &slot, told);
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
		.host_ifindex = node_ifindex(slot),
		.identity = 100 + slot,
		.tenant = tenant,
		.mtu = 1500,
		.opened = 1,
	};
	struct pk_local local = { slot, 100 + slot, tenant, 0 };

	pkt_mac(who, ep.mac);
	node_endpoint_set(slot, &ep);
	node_answers_set(slot, &node_told);
	set("slots", &ep.host_ifindex, &slot);
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

uint32_t node_bucket(uint32_t slot, uint32_t which)
{
	struct pk_bucket b;

	bpf_map_lookup_elem(node_map("buckets"), &slot, &b);
	return (uint32_t)b.tokens[which];
}

uint64_t node_tokens(uint32_t tokens, int64_t ms)
{
	struct timespec now;
	int64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = now.tv_sec * 1000000000ll + now.tv_nsec - ms * 1000000;
	return (uint64_t)ns >> 10 << 32 | tokens;
}

void node_bucket_set(uint32_t slot, uint32_t which, uint32_t tokens, int64_t ms)
{
	struct pk_bucket b;

	bpf_map_lookup_elem(node_map("buckets"), &slot, &b);
	b.tokens[which] = node_tokens(tokens, ms);
	bpf_map_update_elem(node_map("buckets"), &slot, &b, BPF_ANY);
}

uint32_t node_hz(void)
{
	return guard->rodata->pk_hz;
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

void node_age(void)
{
	struct pk_flow_key keys[8], *last = NULL;
	struct pk_flow flow;
	int n = 0;

	while (n < 8 && !bpf_map_get_next_key(node_map("flows"), last, &keys[n]))
		last = &keys[n++];
	while (n--) {
		if (bpf_map_lookup_elem(node_map("flows"), &keys[n], &flow) ||
		    flow.kind != PK_FLOW_PRIMARY)
			continue;
		flow.judged -= 2 * node_hz();
		bpf_map_update_elem(node_map("flows"), &keys[n], &flow, BPF_EXIST);
	}
}

int node_tail(uint32_t place, bool there)
{
	static const char *const targets[] = { NULL,	      "pk_miss",	"pk_miss_to",
					       "pk_answer",   "pk_miss_up",	"pk_error",
					       "pk_error_to", "pk_error_up",	"pk_tell_sender",
					       "pk_fragment", "pk_fragment_to", "pk_fragment_up" };
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

void node_pool(const char *prefix, uint32_t bits)
{
	struct pk_pool_key key = { .prefixlen = bits };
	struct in_addr v4;
	struct pk_pool own = { .whose = PK_POOL_OWN };

	if (inet_pton(AF_INET, prefix, &v4) == 1) {
		key.prefixlen += 96;
		key.addr = (union pk_addr){ .b = { [10] = 0xff, 0xff } };
		key.addr.w[3] = v4.s_addr;
	} else {
		inet_pton(AF_INET6, prefix, &key.addr);
	}
	set("pools", &key, &own);
}

void node_publish(const struct pk_published_key *key, const struct pk_published *to)
{
	uint32_t port = ntohs(key->port), at = PK_PORT_WORD(port);
	uint64_t bits = 0;

	bpf_map_lookup_elem(node_map("published_ports"), &at, &bits);
	bits |= PK_PORT_BIT(port);
	set("published_ports", &at, &bits);
	set("published", key, to);
}

void node_reset(void)
{
	static const char *const hashes[] = { "slots",	    "by_address", "remote",    "pools",
					      "tunnels",    "open_ports", "published", "cidr",
					      "peer_class", "verdicts",	  "flows" };
	struct pk_node n = { .layout = PK_LAYOUT,
			     .capacity = NODE_SLOTS - 1,
			     .flow_budget = NODE_BUDGET,
			     .events = 1 };
	uint32_t at = 0;

	pk_timeouts_init(n.timeout);
	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++)
		empty(hashes[i]);
	zero("rule_sets", 8, sizeof(struct pk_rule_set));
	zero("published_ports", PK_PORT_WORDS, sizeof(uint64_t));
	zero("buckets", NODE_SLOTS, sizeof(struct pk_bucket));
	zero("fragments", NODE_FRAGMENTS, sizeof(struct pk_fragment_place));
	zero("places", place_room(), sizeof(struct pk_flow_key));
	set("node", &at, &n);
	node_pool("10.20.0.0", 24);
	node_pool("fd00:20::", 64);
	node_baseline(1);
	node_baseline(2);
	for (uint32_t slot = 1; slot < NODE_SLOTS; slot++) {
		endpoint(slot);
		node_word(slot, slot == 3 ? 2 : 1, 0, slot == 4 ? 0 : 1);
	}
}
