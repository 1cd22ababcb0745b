// SPDX-License-Identifier: Apache-2.0
/* judge.bpf.c over the guard's own tables: one question, both judgements. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "judge.skel.h"
#include "picket/query.h"
#include "tests/bpf/node.h"
#include "tests/bpf/object.h"

static struct pk_judge *judge;

static bool ask(struct pk_query *q)
{
	uint8_t in[PK_QUERY_OFFSET + sizeof(*q)] = { [12] = 0x88, [13] = 0xb5 }, out[sizeof(in)];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = sizeof(in),
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1);

	memcpy(in + PK_QUERY_OFFSET, q, sizeof(*q));
	if (bpf_prog_test_run_opts(bpf_program__fd(judge->progs.pk_judge_query), &opts) ||
	    opts.retval)
		return false;
	memcpy(q, out + PK_QUERY_OFFSET, sizeof(*q));
	return true;
}

int judge_start(void)
{
	static const char *const names[] = { "rule_sets", "cidr", "peer_class", "verdicts",
					     "open_ports" };

	judge = object_open(pk_judge, "judge");
	for (size_t i = 0; judge && i < sizeof(names) / sizeof(*names); i++)
		bpf_map__reuse_fd(bpf_object__find_map_by_name(judge->obj, names[i]),
				  node_map(names[i]));
	return judge && !pk_judge__load(judge) ? 0 : -ENOEXEC;
}

void judge_stop(void)
{
	pk_judge__destroy(judge);
}

struct bpf_object *judge_object(void)
{
	return judge->obj;
}

uint32_t judge_clock(void)
{
	struct pk_query q = { .rule_set = 0 };

	return ask(&q) ? q.jiffies : 0;
}

#define LISTED 7 /* a rule set with a list beside its own */

/* What is listed beside says no more than what it says of the address; the higher rank wins. */
static void listed_beside(void)
{
	struct pk_rule_set rs = { .list = { 101, 101, 103, 0, 104, 0 }, .entries = 1 };
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = LISTED,
				      .class = PK_CLASS_WORLD4 };
	struct pk_query q = {
		.rule_set = LISTED, .party = PK_PARTY_WORLD, .proto = 6, .addr = pkt_ip4(WHO_WORLD)
	};
	uint32_t at = LISTED;

	node_reset();
	bpf_map_update_elem(node_map("rule_sets"), &at, &rs, BPF_ANY);
	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_TENANT, PK_KIND_ALLOW), 60);
	key.dir = PK_INGRESS;
	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_TENANT, PK_KIND_ALLOW), 60);
	key.dir = PK_EGRESS;
	key.class = PK_CLASS_ALL;
	node_verdict(&key, PK_DENY, PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY), 61);
	key.class = PK_CLASS_ALL + 1;
	node_verdict(&key, PK_DENY, PK_RANK(PK_TIER_BASELINE, PK_KIND_DENY), 62);
	key.class = PK_CLASS_SOME;
	node_verdict(&key, PK_DENY, PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY), 63);
	check("judge: an address that isn't listed beside", ask(&q) && q.answer.live.rule == 60);
	node_cidr(103, "198.51.100.0", 24, PK_CLASS_ALL);
	check("judge: a list beside denies what the rule set's own allows",
	      ask(&q) && q.class == PK_CLASS_WORLD4 && q.answer.live.rule == 61 &&
		      q.answer.live.verdict == PK_DENY && q.answer.audit.rule == 61);
	node_cidr(103, "198.51.100.0", 24, PK_CLASS_ALL + 1);
	check("judge: not by a lower rank", ask(&q) && q.answer.live.rule == 60);
	node_cidr(104, "198.51.100.0", 24, PK_CLASS_SOME);
	check("judge: the highest rank of all lists", ask(&q) && q.answer.live.rule == 63);
	node_cidr(104, "198.51.100.0", 24, PK_CLASS_NONE);
	node_cidr(103, "198.51.100.0", 24, PK_CLASS_NONE);
	check("judge: a hole of the list says nothing", ask(&q) && q.answer.live.rule == 60);
	node_cidr(103, "198.51.100.0", 24, PK_CLASS_ALL);
	q.dir = PK_INGRESS;
	check("judge: the other direction has no list beside", ask(&q) && q.answer.live.rule == 60);
	q.dir = PK_EGRESS;
	q.party = PK_PARTY_HOST;
	check("judge: only the world is listed", ask(&q) && q.answer.live.rule == PK_RULE_DEFAULT);
}

/* Rules for any peer, kept once, and audit beside live. */
static void beside(void)
{
	struct pk_rule_set rs = { .entries = 1, .flags = PK_RULE_SET_ANY };
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 5,
				      .class = PK_CLASS_ANY,
				      .dir = PK_EGRESS };
	struct pk_verdict_value v = {
		.live = { PK_ALLOW, PK_RANK(PK_TIER_TENANT, PK_KIND_ALLOW), 0, 70 },
		.audit = { PK_DENY, PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY), 0, 71 },
	};
	struct pk_query q = { .rule_set = 5, .party = PK_PARTY_HOST, .dir = PK_EGRESS, .proto = 6 };
	uint32_t five = 5;

	bpf_map_update_elem(node_map("rule_sets"), &five, &rs, BPF_ANY);
	bpf_map_update_elem(node_map("verdicts"), &key, &v, BPF_ANY);
	check("judge: a rule for any peer",
	      ask(&q) && q.found && q.class == PK_CLASS_HOST && q.answer.live.rule == 70);
	check("judge: the audit verdict differs",
	      q.answer.audit.verdict == PK_DENY && q.answer.audit.rule == 71);
	key.class = PK_CLASS_HOST;
	node_verdict(&key, PK_DENY, PK_RANK(PK_TIER_TENANT, PK_KIND_DENY), 72);
	check("judge: the higher rank wins, each judgement for itself",
	      ask(&q) && q.answer.live.rule == 72 && q.answer.audit.rule == 71);
}

#define SET	    6 /* a rule set with an entry for each class, its rule is 100 + the class */
#define BY_IDENTITY 70
#define BY_TENANT   71
#define CIDR_OUT    72
#define CIDR_IN	    73

static void put(const char *map, const void *key, const void *value)
{
	bpf_map_update_elem(node_map(map), key, value, BPF_ANY);
}

static void peer(uint32_t number, enum pk_dir dir, uint32_t class)
{
	struct pk_peer_class_key key = { SET, number, dir };

	put("peer_class", &key, &class);
}

static void every_class(void)
{
	struct pk_rule_set rs = { .list = { 101, 102 }, .entries = 1 };
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR, .rule_set = SET };
	uint32_t at = SET;

	put("rule_sets", &at, &rs);
	for (key.class = 1; key.class <= CIDR_IN; key.class ++)
		for (key.dir = PK_EGRESS; key.dir <= PK_INGRESS; key.dir++)
			node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_BASELINE, PK_KIND_ALLOW),
				     100 + key.class);
	peer(500, PK_EGRESS, BY_IDENTITY);
	peer(501, PK_INGRESS, BY_IDENTITY);
	peer(9 | PK_PEER_TENANT, PK_EGRESS, BY_TENANT);
	node_cidr(101, "198.51.100.0", 24, CIDR_OUT);
	node_cidr(102, "2001:db8:9::", 48, CIDR_IN);
}

/* Which class a peer is of, for each way in which it can be known. */
static const struct of_class {
	const char *text;
	uint8_t party, dir;
	uint32_t identity, tenant;
	uint8_t world; /* 4 or 6: of which family the peer's address is */
	uint32_t class;
} of_class[] = {
	{ "an identity of its own class", PK_PARTY_ENDPOINT, PK_EGRESS, 500, 9, 0, BY_IDENTITY },
	{ "that is one of the other direction", PK_PARTY_ENDPOINT, PK_EGRESS, 501, 9, 0,
	  BY_TENANT },
	{ "a tenant of its own class", PK_PARTY_ENDPOINT, PK_EGRESS, 0, 9, 0, BY_TENANT },
	{ "that is one of the other direction", PK_PARTY_ENDPOINT, PK_INGRESS, 0, 9, 0,
	  PK_CLASS_OTHER_TENANT },
	{ "the same tenant", PK_PARTY_ENDPOINT, PK_EGRESS, 7, 1, 0, PK_CLASS_SAME_TENANT },
	{ "another tenant", PK_PARTY_ENDPOINT, PK_EGRESS, 7, 2, 0, PK_CLASS_OTHER_TENANT },
	{ "an identity without a tenant", PK_PARTY_ENDPOINT, PK_EGRESS, 7, 0, 0, PK_CLASS_INIT },
	{ "an unknown one", PK_PARTY_UNKNOWN, PK_EGRESS, 500, 1, 0, PK_CLASS_UNKNOWN },
	{ "the host", PK_PARTY_HOST, PK_EGRESS, 500, 1, 0, PK_CLASS_HOST },
	{ "another node", PK_PARTY_REMOTE_NODE, PK_EGRESS, 500, 1, 0, PK_CLASS_REMOTE_NODE },
	{ "the world in a list", PK_PARTY_WORLD, PK_EGRESS, 0, 0, 4, CIDR_OUT },
	{ "the world out of it", PK_PARTY_WORLD, PK_INGRESS, 0, 0, 4, PK_CLASS_WORLD4 },
	{ "the world in the other list, IPv6", PK_PARTY_WORLD, PK_INGRESS, 0, 0, 6, CIDR_IN },
	{ "the world out of it, IPv6", PK_PARTY_WORLD, PK_EGRESS, 0, 0, 6, PK_CLASS_WORLD6 },
};

static void classes(void)
{
	char text[96];

	node_reset();
	every_class();
	for (size_t i = 0; i < sizeof(of_class) / sizeof(*of_class); i++) {
		const struct of_class *c = &of_class[i];
		struct pk_query q = { .rule_set = SET,
				      .own_tenant = 1,
				      .party = c->party,
				      .dir = c->dir,
				      .identity = c->identity,
				      .tenant = c->tenant,
				      .proto = 6 };

		if (c->world)
			q.addr = c->world == 4 ? pkt_ip4(WHO_WORLD) : pkt_ip6(WHO_WORLD);
		snprintf(text, sizeof(text), "judge: %s", c->text);
		check(text, ask(&q) && q.found && q.class == c->class &&
				    q.answer.live.verdict == PK_ALLOW &&
				    q.answer.live.rule == 100 + c->class);
	}
}

static void no_list(void)
{
	struct pk_rule_set rs = { .entries = 1 };
	struct pk_query q = {
		.rule_set = SET, .party = PK_PARTY_WORLD, .addr = pkt_ip4(WHO_WORLD), .proto = 6
	};
	uint32_t at = SET, class = CIDR_OUT;
	struct pk_cidr_key key = { .prefixlen = 32 + 96 + 24, .list = 0, .addr = q.addr };

	put("rule_sets", &at, &rs);
	put("cidr", &key, &class);
	check("judge: a rule set without a list of addresses asks none",
	      ask(&q) && q.class == PK_CLASS_WORLD4);
	q.party = PK_PARTY_NONE;
	check("judge: who is nobody is of no class",
	      ask(&q) && q.found && !q.class && q.answer.live.verdict == PK_DENY);
	q.party = PK_PARTY_SELF;
	check("judge: itself it always reaches",
	      ask(&q) && q.found && !q.class && q.answer.live.verdict == PK_ALLOW &&
		      q.answer.audit.verdict == PK_ALLOW && q.answer.live.rule == PK_RULE_SELF &&
		      q.answer.audit.rule == PK_RULE_SELF &&
		      q.answer.live.rank == PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW));
}

/* No number names no rule set, and one without entries is none. */
static void no_set(void)
{
	struct pk_rule_set rs = { .entries = 1 }, empty = { .entries = 0 };
	struct pk_query q = { .party = PK_PARTY_SELF };
	uint32_t zero = 0, at = SET;

	put("rule_sets", &zero, &rs);
	put("rule_sets", &at, &empty);
	check("judge: rule set 0 is none", ask(&q) && !q.found &&
						   q.answer.live.verdict == PK_DENY &&
						   q.answer.live.rule == PK_RULE_DEFAULT);
	q = (struct pk_query){ .rule_set = SET, .party = PK_PARTY_SELF };
	check("judge: nor is one without entries", ask(&q) && !q.found);
}

/* Of two judgements the higher rank counts; of the same rank, the peer's own before any peer's. */
static void ranks(uint32_t flags, uint8_t any, uint32_t rule)
{
	struct pk_rule_set rs = { .entries = 1, .flags = flags };
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = SET,
				      .class = PK_CLASS_HOST };
	struct pk_query q = { .rule_set = SET, .party = PK_PARTY_HOST };
	uint32_t at = SET;
	char text[64];

	node_reset();
	put("rule_sets", &at, &rs);
	node_verdict(&key, PK_ALLOW, 10, 80);
	key.class = PK_CLASS_ANY;
	node_verdict(&key, PK_DENY, any, 81);
	snprintf(text, sizeof(text), "judge: rank 10, and %u for any peer, flags %u", any, flags);
	check(text, ask(&q) && q.answer.live.rule == rule && q.answer.audit.rule == rule &&
			    q.answer.live.verdict == (rule == 80 ? PK_ALLOW : PK_DENY));
}

/* A port that the endpoint itself opens, for each kind of peer. */
static void open_ports(uint32_t flags, uint32_t of_host, uint32_t of_others)
{
	static const uint8_t parties[] = { PK_PARTY_HOST, PK_PARTY_WORLD, PK_PARTY_REMOTE_NODE,
					   PK_PARTY_UNKNOWN, PK_PARTY_ENDPOINT };
	struct pk_open_port_key key = { .slot = 1, .proto = 6, .port = 80 };
	const uint32_t wanted[sizeof(parties)] = { of_host, of_others, of_others };
	char text[96];

	node_reset();
	put("open_ports", &key, &flags);
	for (size_t i = 0; i < sizeof(parties); i++) {
		struct pk_query q = { .rule_set = 1,
				      .slot = 1,
				      .own_tenant = 1,
				      .tenant = 2,
				      .party = parties[i],
				      .dir = PK_INGRESS,
				      .proto = 6,
				      .port = 80,
				      .addr = pkt_ip4(WHO_WORLD) };
		uint32_t want = wanted[i];

		snprintf(text, sizeof(text), "judge: party %u at an open port, flags %u",
			 parties[i], flags);
		check(text, ask(&q) && q.answer.live.rule == (want ? want : PK_RULE_DEFAULT) &&
				    q.answer.audit.rule == q.answer.live.rule &&
				    q.answer.live.verdict == (want ? PK_ALLOW : PK_DENY));
		q.port = 81;
		check("judge: another port is closed", ask(&q) && q.answer.live.verdict == PK_DENY);
		q.port = 80, q.slot = 2;
		check("judge: another endpoint's is closed",
		      ask(&q) && q.answer.live.verdict == PK_DENY);
		q.slot = 1, q.proto = 17;
		check("judge: another protocol's is closed",
		      ask(&q) && q.answer.live.verdict == PK_DENY);
		q.proto = 6, q.dir = PK_EGRESS;
		check("judge: it opens no egress",
		      ask(&q) && q.answer.live.rule != PK_RULE_PUBLISHED &&
			      q.answer.live.rule != PK_RULE_CHECKED);
	}
}

/* A slot that is none opens nothing. */
static void no_slot(void)
{
	struct pk_open_port_key key = { .slot = 0, .proto = 6, .port = 80 };
	uint32_t flags = PK_OPEN_PUBLISHED | PK_OPEN_CHECKED;
	struct pk_query q = {
		.rule_set = 1, .party = PK_PARTY_HOST, .dir = PK_INGRESS, .proto = 6, .port = 80
	};

	node_reset();
	put("open_ports", &key, &flags);
	check("judge: slot 0 has no open port", ask(&q) && q.answer.live.verdict == PK_DENY);
}

/* A published port opens what nothing else decides; a check passes what a document denies. */
static void open_ports_rank(void)
{
	struct pk_open_port_key key = { .slot = 1, .proto = 6, .port = 80 };
	struct pk_verdict_key deny = { .prefixlen = PK_VERDICT_BITS_DIR,
				       .rule_set = 1,
				       .class = PK_CLASS_HOST,
				       .dir = PK_INGRESS };
	uint32_t flags = PK_OPEN_PUBLISHED;
	struct pk_query q = { .rule_set = 1,
			      .slot = 1,
			      .party = PK_PARTY_HOST,
			      .dir = PK_INGRESS,
			      .proto = 6,
			      .port = 80 };

	node_reset();
	put("open_ports", &key, &flags);
	node_verdict(&deny, PK_DENY, PK_RANK(PK_TIER_BASELINE, PK_KIND_DENY), 90);
	check("judge: a document closes a published port", ask(&q) && q.answer.live.rule == 90);
	flags |= PK_OPEN_CHECKED;
	put("open_ports", &key, &flags);
	check("judge: not to the check's", ask(&q) && q.answer.live.rule == PK_RULE_CHECKED &&
						   q.answer.live.rank == PK_RANK_CHECKED &&
						   q.answer.audit.rule == PK_RULE_CHECKED);
}

void cases_judge(void)
{
	struct pk_query q = { .rule_set = 1,
			      .party = PK_PARTY_WORLD,
			      .dir = PK_EGRESS,
			      .proto = 6,
			      .addr = pkt_ip4(WHO_WORLD) };

	node_reset();
	check("judge: the world", ask(&q) && q.found && q.class == PK_CLASS_WORLD4 &&
					  q.answer.live.verdict == PK_ALLOW &&
					  q.answer.live.rule == PK_RULE_WORLD);
	q.addr.b[12] = 10;
	check("judge: a longer prefix",
	      ask(&q) && q.class == PK_CLASS_FIRST && q.answer.live.verdict == PK_DENY);
	q = (struct pk_query){ .rule_set = 6, .party = PK_PARTY_HOST };
	check("judge: no such rule set", ask(&q) && !q.found && q.answer.live.verdict == PK_DENY);
	q = (struct pk_query){ .rule_set = 1, .party = PK_PARTY_ENDPOINT, .own_tenant = 1 };
	check("judge: tenant 0 is init",
	      ask(&q) && q.class == PK_CLASS_INIT && q.answer.live.verdict == PK_DENY);
	listed_beside();
	beside();
	classes();
	no_list();
	no_set();
	ranks(PK_RULE_SET_ANY, 9, 80);
	ranks(PK_RULE_SET_ANY, 10, 80);
	ranks(PK_RULE_SET_ANY, 11, 81);
	ranks(0, 11, 80);
	open_ports(PK_OPEN_PUBLISHED, PK_RULE_PUBLISHED, PK_RULE_PUBLISHED);
	open_ports(PK_OPEN_CHECKED, PK_RULE_CHECKED, 0);
	open_ports(PK_OPEN_PUBLISHED | PK_OPEN_CHECKED, PK_RULE_CHECKED, PK_RULE_PUBLISHED);
	no_slot();
	open_ports_rank();
	node_reset();
}
