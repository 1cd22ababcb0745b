// SPDX-License-Identifier: Apache-2.0
/* judge.bpf.c over the guard's own tables: one question, both judgements. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
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
	beside();
}
