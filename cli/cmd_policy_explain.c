/* SPDX-License-Identifier: GPL-2.0-only */
/* picket policy explain: would it pass, which rule decides, which ones lose. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "out.h"
#include "own.h"
#include "policy_ask.h"
#include "rules.h"
#include "world.h"

#define MATCHES_MAX 64

struct question {
	struct pk_case *c;
	const char *names[2]; /* from, to */
	struct pk_connection conn;
	struct pk_connection_verdict reference, compiled;
};

static const char *const word[] = { [PK_DENY] = "deny", [PK_ALLOW] = "allow" };

static const struct pk_world_endpoint *by_prefix(const struct pk_world *world, const char *text)
{
	const struct pk_world_endpoint *found = NULL;
	size_t n = strlen(text);

	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep)) {
		const char *space = strrchr(ep->key, ' ');

		/* "acme/api/web 7f3a21c4" by its name or by its alloc. */
		if (strncmp(ep->key, text, n) == 0 || (space && strncmp(space + 1, text, n) == 0)) {
			if (!found)
				found = ep;
		}
	}
	return found;
}

static bool by_address(const struct pk_world *world, const char *text, struct pk_judge_peer *out)
{
	*out = (struct pk_judge_peer){ .is = PK_PEER_IS_WORLD };
	if (pk_addr_parse(text, &out->address) < 0)
		return false;
	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep))
		for (size_t i = 0; i < ep->n_addresses; i++)
			if (pk_addr_equal(&ep->addresses[i], &out->address))
				*out = (struct pk_judge_peer){ .is = PK_PEER_IS_ENDPOINT,
							       .endpoint = ep };
	return true;
}

static int find_peer(const struct question *q, const char *text, struct pk_judge_peer *out,
		     struct pk_err *err)
{
	const struct pk_world *world = pk_asker_world(q->c->asker);

	if (pk_case_peer(q->c, text, out, err) == 0 || by_address(world, text, out))
		return 0;
	*out = (struct pk_judge_peer){ .is = PK_PEER_IS_ENDPOINT,
				       .endpoint = by_prefix(world, text) };
	return out->endpoint ? 0 : -ENOENT;
}

static const char *given(const struct cli *cli, const char *option, int arg)
{
	const char *value = cli_get(cli, option);

	return value ? value : arg < cli->argc ? cli->argv[arg] : NULL;
}

static int read_question(const struct cli *cli, struct question *q, struct pk_err *err)
{
	const char *port = given(cli, "port", 2);
	struct pk_connection *c = &q->conn;
	int r;

	q->names[0] = given(cli, "from", 0);
	q->names[1] = given(cli, "to", 1);
	if (!q->names[0] || !q->names[1])
		return pk_fail(err, 0, "from and to are needed");
	if (!port)
		return pk_fail(err, 0, "a port is needed, as 80/tcp or icmp:echo-request");
	r = find_peer(q, q->names[0], &c->from, err);
	if (r == 0)
		r = find_peer(q, q->names[1], &c->to, err);
	if (r < 0)
		return r;
	if (strncmp(port, "icmp:", 5) == 0)
		return pk_case_icmp(port + 5, &c->from, &c->to, &c->proto, &c->port, err);
	return pk_case_port(port, &c->to, &c->proto, &c->port, err);
}

static int add_files(const struct cli *cli, struct pk_case *c, struct pk_err *err)
{
	own_str said = { 0 };
	const char *path;
	size_t index;
	int r = 0;

	for (size_t i = 0; r == 0 && (path = cli_nth(cli, "with", i)); i++)
		r = pk_case_replace_file(c, path, &index, &said, err);
	cli_notes(&said);
	return r;
}

static size_t matches_of(const struct question *q, int dir, struct pk_judge_match *out)
{
	const struct pk_judge_by by = { .settings = &q->c->settings,
					.docs = q->c->docs,
					.n_docs = q->c->n_docs };
	const struct pk_judge_peer *side = dir == PK_EGRESS ? &q->conn.from : &q->conn.to;
	const struct pk_judge_query query = { .subject = side->endpoint,
					      .dir = (enum pk_dir)dir,
					      .peer = dir == PK_EGRESS ? q->conn.to : q->conn.from,
					      .proto = q->conn.proto,
					      .port = q->conn.port };

	return pk_judge_matches(&by, &query, out, MATCHES_MAX);
}

static void rule_line(const struct question *q, const struct pk_judge_match *m, struct pk_str *out)
{
	const struct pk_rules *rules = pk_engine_rules(pk_asker_engine(q->c->asker));
	struct pk_rule_ref ref;

	if (pk_rules_find(rules, m->entry->number, &ref) == 0)
		pk_rule_text(&ref, PK_RANK(m->doc->tier, m->kind), out);
}

/* Those that match and don't decide. */
static void losers(const struct question *q, int dir, struct pk_str *out)
{
	static const char *const kind[] = {
		[PK_KIND_PASS] = "pass", [PK_KIND_ALLOW] = "allow", [PK_KIND_DENY] = "deny"
	};
	static const char *const tier[] = { "", "baseline", "tenant", "operator" };
	const struct pk_judgement *decided = &q->reference.side[dir].live;
	struct pk_judge_match m[MATCHES_MAX];
	size_t n = matches_of(q, dir, m);

	for (size_t i = 0; i < n; i++) {
		if (m[i].entry->number == decided->rule &&
		    PK_RANK(m[i].doc->tier, m[i].kind) == decided->rank)
			continue;
		pk_str_addf(out, "      beside it: %s", m[i].doc->audit ? "audit only, " : "");
		if (m[i].kind != PK_KIND_DEFAULT)
			pk_str_addf(out, "%s of the %s tier, ", kind[m[i].kind],
				    tier[m[i].doc->tier & 3]);
		rule_line(q, &m[i], out);
		pk_str_add(out, "\n");
	}
}

static void print_side(const struct question *q, int dir, struct pk_str *out)
{
	const struct pk_judge_peer *side = dir == PK_EGRESS ? &q->conn.from : &q->conn.to;
	const struct pk_verdict_value *v = &q->reference.side[dir];

	pk_str_add(out, dir == PK_EGRESS ? "  out of " : "  into   ");
	pk_str_add_escaped(out, q->reference.asked[dir] ? side->endpoint->key : q->names[dir]);
	pk_str_add(out, "  ");
	if (!q->reference.asked[dir]) {
		pk_str_add(out, "not an endpoint: no policy of its own\n");
		return;
	}
	pk_case_side_text(q->c, &v->live, out);
	pk_str_add(out, "\n");
	if (v->audit.verdict != v->live.verdict) {
		pk_str_add(out, "      with the audit documents: ");
		pk_case_side_text(q->c, &v->audit, out);
		pk_str_add(out, "\n");
	}
	losers(q, dir, out);
}

static bool agree(const struct question *q)
{
	for (int dir = 0; dir < 2; dir++) {
		const struct pk_verdict_value *a = &q->reference.side[dir];
		const struct pk_verdict_value *b = &q->compiled.side[dir];

		if (a->live.verdict != b->live.verdict || a->audit.verdict != b->audit.verdict ||
		    a->live.rank != b->live.rank)
			return false;
	}
	return true;
}

static void print_text(const struct cli *cli, const struct question *q)
{
	bool allowed = q->reference.verdict == PK_ALLOW;
	own_str out = { 0 };

	pk_str_addf(&out, "%s%s%s\n", cli_color(cli, allowed ? CLI_GREEN : CLI_RED),
		    allowed ? "allowed" : "denied", cli_color(cli, CLI_PLAIN));
	print_side(q, PK_EGRESS, &out);
	print_side(q, PK_INGRESS, &out);
	pk_str_add(&out,
		   agree(q) ? "  compiled rule sets and evaluator agree\n"
			    : "  compiled rule sets and evaluator DIFFER: please report this\n");
	fputs(out.text, stdout);
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
	pk_jw_string(w, "verdict", word[v->live.verdict]);
	pk_jw_string(w, "audit", word[v->audit.verdict]);
	pk_jw_string(w, "text", text.text);
	pk_rule_json(&ref, w, "rule");
	pk_jw_close(w, '}');
}

static void print_json(const struct question *q)
{
	own_str out = { 0 };
	struct pk_jw w = { .out = &out, .indent = 4 };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "from", q->names[0]);
	pk_jw_string(&w, "to", q->names[1]);
	pk_jw_uint(&w, "protocol", q->conn.proto);
	pk_jw_uint(&w, "port", q->conn.port);
	pk_jw_string(&w, "verdict", word[q->reference.verdict]);
	pk_jw_string(&w, "audit", word[q->reference.audit]);
	pk_jw_bool(&w, "agree", agree(q));
	json_side(q, PK_EGRESS, &w);
	json_side(q, PK_INGRESS, &w);
	pk_jw_close(&w, '}');
	pk_str_add(&out, "\n");
	fputs(out.text, stdout);
}

int cli_explain(struct cli *cli)
{
	own_case *c = NULL;
	struct question q = { 0 };
	struct pk_err err = { 0 };
	int r = cli_world(cli, &c, &err);

	q.c = c;
	if (r == 0)
		r = add_files(cli, c, &err);
	if (r == 0)
		r = pk_case_ready(c, &err);
	if (r == 0)
		r = read_question(cli, &q, &err);
	if (r == 0)
		r = pk_ask_connection(c->asker, PK_ASK_REFERENCE, &q.conn, &q.reference, &err);
	if (r == 0)
		r = pk_ask_connection(c->asker, PK_ASK_COMPILED, &q.conn, &q.compiled, &err);
	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (cli->json && !cli->quiet)
		print_json(&q);
	else if (!cli->quiet)
		print_text(cli, &q);
	return q.reference.verdict == PK_ALLOW ? CLI_OK : CLI_NO;
}
