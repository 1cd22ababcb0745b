// SPDX-License-Identifier: Apache-2.0
/* The end of flows by user space's word: what is over goes, its alias with it, and nobody else's. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>

#include "tests/bpf/world.h"

struct reap_packet { /* bpf/lib/reap.h */
	uint8_t ethernet[14];
	struct pk_flow_key key;
	uint32_t gone, jiffies;
} __attribute__((packed));

static bool reap(const struct pk_flow_key *key)
{
	struct reap_packet ask = { .key = *key }, answer = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &ask, .data_size_in = sizeof(ask),
		    .data_out = &answer, .data_size_out = sizeof(answer));
	int fd = bpf_program__fd(bpf_object__find_program_by_name(node_object(), "pk_flow_reap"));

	check("user space asks for the end of a flow",
	      !bpf_prog_test_run_opts(fd, &opts) && !opts.retval);
	return answer.gone;
}

/* The flow of that kind, of which there is one. */
static bool find(enum pk_flow_kind kind, struct pk_flow_key *key, struct pk_flow *flow)
{
	int fd = node_map("flows");

	for (void *at = NULL; !bpf_map_get_next_key(fd, at, key); at = key)
		if (!bpf_map_lookup_elem(fd, key, flow) && flow->kind == kind)
			return true;
	return check("the flow is there", false);
}

static void put(const struct pk_flow_key *key, const struct pk_flow *flow)
{
	bpf_map_update_elem(node_map("flows"), key, flow, BPF_EXIST);
}

/* A masqueraded flow of p and its alias. */
static bool begin(struct pkt p, struct pk_flow_key *key, struct pk_flow_key *alias)
{
	struct pk_flow flow;

	world_start();
	check("A to the world", node_run(NODE_FROM, 1, &p, NULL) == 7);
	return check("a flow and its alias", node_flows() == 2) &&
	       find(PK_FLOW_PRIMARY, key, &flow) && find(PK_FLOW_ALIAS, alias, &flow);
}

static void age(const struct pk_flow_key *key)
{
	struct pk_flow flow;

	bpf_map_lookup_elem(node_map("flows"), key, &flow);
	flow.expires = judge_clock() - node_hz();
	put(key, &flow);
}

static void with_alias(struct pkt p)
{
	struct pk_flow_key key, alias;

	if (!begin(p, &key, &alias))
		return;
	check("a live flow stays", !reap(&key) && node_flows() == 2);
	check("so does its alias", !reap(&alias) && node_flows() == 2);
	age(&key);
	check("an alias stays as long as its flow", !reap(&alias) && node_flows() == 2);
	check("what is over goes with its alias", reap(&key) && !node_flows());
	check("and is gone", !reap(&key));
}

static void other_source(struct pk_flow *flow)
{
	flow->primary.src.w[3] ^= 1;
}

static void other_destination(struct pk_flow *flow)
{
	flow->primary.dst.w[3] ^= 1;
}

static void other_port(struct pk_flow *flow)
{
	flow->primary.sport ^= 1;
}

/* The alias has become another flow's, as where two processors took one tuple. */
static void with_anothers(void (*other)(struct pk_flow *flow))
{
	struct pk_flow_key key, alias;
	struct pk_flow flow;

	if (!begin(pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 9)), &key, &alias))
		return;
	bpf_map_lookup_elem(node_map("flows"), &alias, &flow);
	other(&flow);
	put(&alias, &flow);
	age(&key);
	check("another flow's alias isn't its to take along", reap(&key) && node_flows() == 1);
	check("an alias without its flow goes", reap(&alias) && !node_flows());
}

/* What stands in an alias' way isn't one: a primary of the same tuple. */
static void with_a_primary(void)
{
	struct pk_flow_key key, alias;
	struct pk_flow flow;

	if (!begin(pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 9)), &key, &alias))
		return;
	bpf_map_lookup_elem(node_map("flows"), &alias, &flow);
	flow.kind = PK_FLOW_PRIMARY;
	flow.expires = judge_clock() + 60 * node_hz();
	put(&alias, &flow);
	age(&key);
	check("a flow in its alias' place stays", reap(&key) && node_flows() == 1);
}

/* The endpoint in that slot is opened anew, and a flow of its earlier life is asked after. */
static void opened_anew(const char *text, uint32_t slot, const struct pk_flow_key *key)
{
	struct pk_endpoint ep;

	node_endpoint(slot, &ep);
	ep.opened++;
	node_endpoint_set(slot, &ep);
	check(text, reap(key) && !node_flows());
	ep.opened--;
	node_endpoint_set(slot, &ep);
}

static void of_a_gone_endpoint(void)
{
	struct pk_flow_key key, alias;
	struct pk_flow flow;

	if (!begin(pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 9)), &key, &alias))
		return;
	opened_anew("the flow of an endpoint that was opened anew goes", 1, &key);
	for (uint32_t slot = 1; slot < 3; slot++) {
		node_reset();
		node_from("A to B", 1, pkt_v4(WHO_A, WHO_B, UDP(40000, 5000)), PK_REASON_OK);
		if (!find(PK_FLOW_PRIMARY, &key, &flow))
			return;
		check("it stays while both live", !reap(&key) && node_flows() == 1);
		opened_anew("whichever of its two ends was opened anew", slot, &key);
	}
}

void cases_end(void)
{
	with_alias(pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN)));
	with_alias(pkt_v6(WHO_A, WHO_WORLD, UDP(40000, 53)));
	with_alias(pkt_v4(WHO_A, WHO_WORLD, PING(77)));
	with_alias(pkt_v6(WHO_A, WHO_WORLD, PING6(77)));
	with_anothers(other_source);
	with_anothers(other_destination);
	with_anothers(other_port);
	with_a_primary();
	of_a_gone_endpoint();
	node_reset();
}
