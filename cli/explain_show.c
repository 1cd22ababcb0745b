/* SPDX-License-Identifier: Apache-2.0 */
/* The output of picket policy explain. */
#include <stdio.h>
#include <string.h>

#include "explain.h"
#include "out.h"
#include "own.h"
#include "rules.h"

static const char *const word[] = { [PK_DENY] = "deny", [PK_ALLOW] = "allow" };

static bool same_judgement(const struct pk_judgement *a, const struct pk_judgement *b)
{
	return a->verdict == b->verdict && a->rank == b->rank && a->rule == b->rule;
}

bool explain_same(const struct pk_connection_verdict *a, const struct pk_connection_verdict *b)
{
	for (int dir = 0; dir < 2; dir++)
		if (!same_judgement(&a->side[dir].live, &b->side[dir].live) ||
		    !same_judgement(&a->side[dir].audit, &b->side[dir].audit))
			return false;
	return true;
}

bool explain_agree(const struct question *q)
{
	return explain_same(&q->reference, &q->compiled) &&
	       (!q->has_live || explain_same(&q->reference, &q->live));
}

static const struct pk_peer *side_of(const struct question *q, int dir)
{
	return dir == PK_EGRESS ? &q->conn.from : &q->conn.to;
}

struct pk_question explain_side(const struct question *q, int dir)
{
	return (struct pk_question){ .subject = side_of(q, dir)->endpoint,
				     .dir = (enum pk_dir)dir,
				     .peer = *side_of(q, !dir),
				     .proto = q->conn.proto,
				     .port = q->conn.port };
}

/* Finds the rules that match and don't decide; returns how many match. */
static size_t losers(const struct question *q, int dir,
		     struct pk_judge_match m[EXPLAIN_MATCHES_MAX], size_t *n)
{
	const struct pk_judge_by by = { .settings = &q->c->settings,
					.docs = q->c->docs,
					.n_docs = q->c->n_docs };
	const struct pk_question query = explain_side(q, dir);
	const struct pk_judgement *decided = &q->reference.side[dir].live;
	size_t all = pk_judge_matches(&by, &query, m, EXPLAIN_MATCHES_MAX), kept = 0;

	for (size_t i = 0; i < all; i++)
		if (m[i].entry->number != decided->rule ||
		    PK_RANK(m[i].doc->tier, m[i].kind) != decided->rank)
			m[kept++] = m[i];
	*n = kept;
	return all;
}

static const char *kind_of(const struct pk_judge_match *m)
{
	static const char *const kind[] = { [PK_KIND_DEFAULT] = "default deny",
					    [PK_KIND_PASS] = "pass",
					    [PK_KIND_ALLOW] = "allow",
					    [PK_KIND_DENY] = "deny" };

	return kind[m->kind];
}

static void text_losers(const struct question *q, int dir, struct pk_str *out)
{
	const struct pk_rules *rules = pk_engine_rules(pk_asker_engine(q->c->asker));
	struct pk_judge_match m[EXPLAIN_MATCHES_MAX];
	size_t n, all = losers(q, dir, m, &n);

	for (size_t i = 0; i < n; i++) {
		const uint8_t rank = PK_RANK(m[i].doc->tier, m[i].kind);
		struct pk_rule_ref ref;

		pk_str_addf(out, "      beside it: %s", m[i].doc->audit ? "audit only, " : "");
		if (m[i].kind != PK_KIND_DEFAULT)
			pk_str_addf(out, "%s of the %s tier, ", kind_of(&m[i]), pk_tier_name(rank));
		if (pk_rules_find(rules, m[i].entry->number, &ref) == 0)
			pk_rule_text(&ref, rank, out);
		pk_str_add(out, "\n");
	}
	if (all == EXPLAIN_MATCHES_MAX)
		pk_str_addf(out, "      only the first %d that match are shown\n", (int)all);
}

static void text_live(const struct question *q, int dir, struct pk_str *out)
{
	const struct pk_verdict_value *v = &q->live.side[dir];

	if (!q->has_live || (same_judgement(&v->live, &q->reference.side[dir].live) &&
			     same_judgement(&v->audit, &q->reference.side[dir].audit)))
		return;
	pk_str_add(out, "      the live tables say: ");
	if (v->live.rank)
		pk_scenario_side_text(q->c, &v->live, out);
	else
		pk_str_addf(out, "deny, %s", q->no_live.text);
	pk_str_add(out, "\n");
}

static void text_side(const struct question *q, int dir, struct pk_str *out)
{
	static const char *const what[] = {
		[PK_PARTY_UNKNOWN] = "an unknown endpoint of the pools",
		[PK_PARTY_HOST] = "this node",
		[PK_PARTY_REMOTE_NODE] = "another node",
		[PK_PARTY_WORLD] = "the world",
	};
	const struct pk_verdict_value *v = &q->reference.side[dir];

	pk_str_add(out, dir == PK_EGRESS ? "  out of " : "  into   ");
	if (!q->reference.asked[dir] && side_of(q, dir)->party == PK_PARTY_ENDPOINT) {
		cli_endpoint_name(side_of(q, dir)->endpoint->key, out);
		pk_str_add(out, "  another node's: it judges this side by its own documents\n");
		return;
	}
	if (!q->reference.asked[dir]) {
		pk_str_add_escaped(out, q->names[dir]);
		pk_str_addf(out, "  %s: no policy of its own here\n", what[side_of(q, dir)->party]);
		return;
	}
	cli_endpoint_name(side_of(q, dir)->endpoint->key, out);
	pk_str_add(out, "  ");
	pk_scenario_side_text(q->c, &v->live, out);
	pk_str_add(out, "\n");
	if (v->audit.verdict != v->live.verdict) {
		pk_str_add(out, "      with the audit documents: ");
		pk_scenario_side_text(q->c, &v->audit, out);
		pk_str_add(out, "\n");
	}
	text_live(q, dir, out);
	text_losers(q, dir, out);
}

/* Returns the next declared service, behind d, that has an instance at the address; NULL: none. */
static const struct pk_declared_service *next_service(const struct question *q,
						      const struct pk_declared_service *d)
{
	const struct pk_settings *s = &q->c->settings;

	if (q->conn.to.party != PK_PARTY_WORLD)
		return NULL;
	for (size_t i = d ? (size_t)(d - s->services) + 1 : 0; i < s->n_services; i++)
		for (size_t j = 0; j < s->services[i].n_instances; j++)
			if (pk_addr_equal(&s->services[i].instances[j], &q->conn.to.address))
				return &s->services[i];
	return NULL;
}

static void text_services(const struct question *q, struct pk_str *out)
{
	for (const struct pk_declared_service *d = next_service(q, NULL); d;
	     d = next_service(q, d)) {
		pk_str_add(out, "  ");
		pk_str_add_escaped(out, q->names[1]);
		pk_str_add(out, " is an instance of the declared service ");
		pk_str_add_escaped(out, d->name);
		pk_str_add(out, "\n");
	}
}

static void json_services(const struct question *q, struct pk_jw *w)
{
	pk_jw_open(w, "services", '[');
	for (const struct pk_declared_service *d = next_service(q, NULL); d; d = next_service(q, d))
		pk_jw_string(w, NULL, d->name);
	pk_jw_close(w, ']');
}

/*
 * A private address that is neither this node's nor of the pools counts as the world, and so does
 * another node's.
 */
static void text_private(const struct question *q, struct pk_str *out)
{
	const struct pk_peer *to = &q->conn.to;

	if (to->party != PK_PARTY_WORLD || !pk_is_protected(&to->address) || next_service(q, NULL))
		return;
	pk_str_add(out, "  ");
	pk_str_add_escaped(out, q->names[1]);
	pk_str_add(out,
		   " is a private address that this node doesn't know: it counts as the world, "
		   "even if another node has it\n");
}

static void text_agreement(const struct question *q, struct pk_str *out)
{
	if (!explain_same(&q->reference, &q->compiled))
		pk_str_add(out, "  compiled rule sets and evaluator DIFFER: please report this\n");
	else if (!q->has_live)
		pk_str_add(out, "  compiled rule sets and evaluator agree\n");
	else if (explain_agree(q))
		pk_str_add(out, "  live tables, compiled rule sets and evaluator agree\n");
	else
		pk_str_add(out,
			   "  live tables and documents DIFFER: a change may be under way, ask "
			   "again;\n  \"picket status\" and \"picket check\" say what is "
			   "wrong\n");
	if (q->wants_live && !q->has_live) {
		pk_str_add(out, "  live tables not asked: ");
		pk_str_add_escaped(out, q->no_live.text);
		pk_str_add(out, "\n");
	}
}

void explain_text(const struct cli *cli, const struct question *q)
{
	bool allowed = q->reference.verdict == PK_ALLOW, passes = allowed && !q->lack;
	own_str out = { 0 };

	pk_str_addf(&out, "%s%s", cli_color(cli, passes ? CLI_GREEN : CLI_RED),
		    passes ? "allowed" : "denied");
	if (allowed && !passes)
		pk_str_addf(&out, ": allowed by policy, dropped as %s", q->lack->reason);
	pk_str_addf(&out, "%s\n", cli_color(cli, CLI_PLAIN));
	if (allowed && !passes)
		pk_str_addf(&out, "  this release has no %s\n", q->lack->what);
	text_side(q, PK_EGRESS, &out);
	text_side(q, PK_INGRESS, &out);
	text_services(q, &out);
	text_private(q, &out);
	text_agreement(q, &out);
	cli_print(cli, out.text);
}

static void json_losers(const struct question *q, int dir, struct pk_jw *w)
{
	const struct pk_rules *rules = pk_engine_rules(pk_asker_engine(q->c->asker));
	struct pk_judge_match m[EXPLAIN_MATCHES_MAX];
	struct pk_rule_ref ref;
	size_t n;

	losers(q, dir, m, &n);
	pk_jw_open(w, "others", '[');
	for (size_t i = 0; i < n; i++) {
		if (pk_rules_find(rules, m[i].entry->number, &ref) < 0)
			continue;
		pk_jw_open(w, NULL, '{');
		pk_jw_string(w, "as", kind_of(&m[i]));
		pk_rule_json(&ref, w, "rule");
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
}

static void json_side(const struct question *q, int dir, struct pk_jw *w)
{
	const struct pk_rules *rules = pk_engine_rules(pk_asker_engine(q->c->asker));
	const struct pk_verdict_value *v = &q->reference.side[dir];
	struct pk_rule_ref ref;
	own_str text = { 0 };

	if (!q->reference.asked[dir]) {
		pk_jw_null(w, dir == PK_EGRESS ? "egress" : "ingress");
		return;
	}
	if (pk_rules_find(rules, v->live.rule, &ref) < 0)
		ref = (struct pk_rule_ref){ .number = v->live.rule };
	pk_rule_text(&ref, v->live.rank, &text);
	pk_jw_open(w, dir == PK_EGRESS ? "egress" : "ingress", '{');
	pk_jw_string(w, "endpoint", side_of(q, dir)->endpoint->key);
	pk_jw_string(w, "verdict", word[v->live.verdict]);
	pk_jw_string(w, "audit", word[v->audit.verdict]);
	pk_jw_string(w, "live", q->has_live ? word[q->live.side[dir].live.verdict] : NULL);
	pk_jw_string(w, "text", text.text);
	pk_rule_json(&ref, w, "rule");
	json_losers(q, dir, w);
	pk_jw_close(w, '}');
}

void explain_json(const struct cli *cli, const struct question *q)
{
	own_str out = { 0 };
	struct pk_jw w = { .out = &out, .indent = cli->jsonl ? 0 : 4 };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "from", q->names[0]);
	pk_jw_string(&w, "to", q->names[1]);
	pk_jw_uint(&w, "protocol", q->conn.proto);
	pk_jw_uint(&w, "port", q->conn.port);
	pk_jw_string(&w, "verdict", word[q->reference.verdict]);
	pk_jw_string(&w, "audit", word[q->reference.audit]);
	pk_jw_string(&w, "live", q->has_live ? word[q->live.verdict] : NULL);
	pk_jw_string(&w, "liveError", q->no_live.text[0] ? q->no_live.text : NULL);
	pk_jw_bool(&w, "agree", explain_agree(q));
	pk_jw_string(&w, "notBuilt", q->lack ? q->lack->what : NULL);
	json_services(q, &w);
	json_side(q, PK_EGRESS, &w);
	json_side(q, PK_INGRESS, &w);
	pk_jw_close(&w, '}');
	puts(out.text);
}
