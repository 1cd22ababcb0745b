/* SPDX-License-Identifier: Apache-2.0 */
#include "reach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs.h"

#define SUITE_MAX (64u << 20)

struct expectation {
	const struct pk_json *json;
	const char *from, *to;
	char what[64]; /* "80/tcp", "icmp echo-request" */
	struct pk_connection c;
	bool wants[4]; /* verdict, egress, ingress, audit */
	enum pk_verdict want[4];
};

static const char *const asked[] = { "verdict", "egress", "ingress", "audit" };
static const char *const word[] = { [PK_DENY] = "deny", [PK_ALLOW] = "allow" };

struct run {
	struct pk_scenario *c;
	const struct pk_reach_options *options;
	struct pk_str *out, *said;
	struct pk_reach_tally *tally;
	struct pk_err *err;
};

static int read_verdict(struct run *run, struct expectation *x, int i)
{
	const struct pk_json *v = pk_json_get(x->json, asked[i]);
	const char *text = v ? pk_json_string(v) : NULL;

	if (!v)
		return 0;
	for (int verdict = PK_DENY; text && verdict <= PK_ALLOW; verdict++)
		if (strcmp(text, word[verdict]) == 0) {
			x->wants[i] = true;
			x->want[i] = (enum pk_verdict)verdict;
			return 0;
		}
	return pk_json_fail(run->err, run->c->json, v, false, "expected \"allow\" or \"deny\"");
}

static int read_peer(struct run *run, const struct expectation *x, const char *key,
		     const char **name, struct pk_peer *out)
{
	const struct pk_json_doc *json = run->c->json;
	struct pk_err why = { 0 };
	int r = pk_json_get_string(json, x->json, key, name, run->err);

	if (r < 0)
		return r;
	if (!*name)
		return pk_json_fail(run->err, json, x->json, false, "\"%s\" is missing", key);
	if (pk_scenario_peer(run->c, *name, out, &why) == 0)
		return 0;
	pk_json_fail(run->err, json, pk_json_get(x->json, key), false, "%s", why.text);
	return pk_fix(run->err, -EINVAL, "%s", why.fix);
}

/* Returns the value as text: a number stands for itself. */
static const char *text_of(const struct pk_json *v, char buffer[32])
{
	int64_t number;

	if (pk_json_string(v))
		return pk_json_string(v);
	if (pk_json_int(v, 0, 65535, &number) < 0)
		return NULL;
	snprintf(buffer, 32, "%lld", (long long)number);
	return buffer;
}

static int read_what(struct run *run, struct expectation *x)
{
	static const char *const keys[] = { "port", "icmp", "protocol" };
	const struct pk_json *v = NULL;
	struct pk_err why = { 0 };
	const char *text;
	char buffer[32];
	int kind = -1, r;

	for (int i = 0; i < 3; i++) {
		if (!pk_json_get(x->json, keys[i]))
			continue;
		if (v)
			return pk_json_fail(run->err, run->c->json, x->json, false,
					    "either \"port\" or \"icmp\", not both");
		v = pk_json_get(x->json, keys[i]);
		kind = i;
	}
	text = v ? text_of(v, buffer) : NULL;
	if (!text)
		return pk_json_fail(run->err, run->c->json, v ? v : x->json, false,
				    "expected a \"port\" like \"80/tcp\" or an \"icmp\" type");
	snprintf(x->what, sizeof(x->what), "%s%.40s", kind == 1 ? "icmp " : "", text);
	if (kind == 1)
		r = pk_scenario_icmp(text, &x->c.from, &x->c.to, &x->c.proto, &x->c.port, &why);
	else if (kind == 0)
		r = pk_scenario_port(text, &x->c.to, &x->c.proto, &x->c.port, &why);
	else
		r = pk_scenario_protocol(text, &x->c.proto, &why);
	if (r == 0)
		return 0;
	pk_json_fail(run->err, run->c->json, v, false, "%s", why.text);
	return why.fix[0] ? pk_fix(run->err, -EINVAL, "%s", why.fix) : -EINVAL;
}

static int read_expectation(struct run *run, const struct pk_json *json, struct expectation *x)
{
	static const char *const keys[] = { "from",	"to",	       "port",	 "icmp",
					    "protocol", "verdict",     "egress", "ingress",
					    "audit",	"description", NULL };
	int r;

	*x = (struct expectation){ .json = json };
	if (pk_json_type(json) != PK_JSON_OBJECT)
		return pk_json_fail(run->err, run->c->json, json, false,
				    "%s found, expected an object",
				    pk_json_type_name(pk_json_type(json)));
	r = pk_json_only(run->c->json, json, keys, run->err);
	if (r == 0)
		r = read_peer(run, x, "from", &x->from, &x->c.from);
	if (r == 0)
		r = read_peer(run, x, "to", &x->to, &x->c.to);
	if (r == 0)
		r = read_what(run, x);
	for (int i = 0; i < 4 && r == 0; i++)
		r = read_verdict(run, x, i);
	if (r == 0 && !x->wants[0] && !x->wants[1] && !x->wants[2] && !x->wants[3])
		r = pk_json_fail(run->err, run->c->json, json, false,
				 "nothing is expected: give a \"verdict\"");
	return r;
}

static enum pk_verdict side_of(const struct pk_connection_verdict *v, int dir)
{
	return v->asked[dir] ? (enum pk_verdict)v->side[dir].live.verdict : PK_ALLOW;
}

static void got_all(const struct pk_connection_verdict *v, enum pk_verdict got[4])
{
	got[0] = v->verdict;
	got[1] = side_of(v, PK_EGRESS);
	got[2] = side_of(v, PK_INGRESS);
	got[3] = v->audit;
}

static void side_text(struct run *run, const struct expectation *x,
		      const struct pk_connection_verdict *v, int dir)
{
	const struct pk_verdict_value *side = &v->side[dir];

	if (!v->asked[dir])
		return;
	pk_str_addf(run->out, "  %s of ", dir == PK_EGRESS ? "egress" : "ingress");
	pk_str_add_escaped(run->out, dir == PK_EGRESS ? x->from : x->to);
	pk_str_add(run->out, ": ");
	pk_scenario_side_text(run->c, &side->live, run->out);
	if (side->audit.verdict != side->live.verdict) {
		pk_str_add(run->out, "; with the audit documents ");
		pk_scenario_side_text(run->c, &side->audit, run->out);
	}
	pk_str_add(run->out, "\n");
}

static void print_failed(struct run *run, const struct expectation *x,
			 const struct pk_connection_verdict *v, const enum pk_verdict got[4])
{
	struct pk_json_where where;

	pk_json_where(run->c->json, x->json, false, &where);
	pk_str_add_escaped(run->out, run->c->path);
	pk_str_addf(run->out, ":%d: ", where.line);
	pk_str_add_escaped(run->out, x->from);
	pk_str_add(run->out, " -> ");
	pk_str_add_escaped(run->out, x->to);
	pk_str_add(run->out, " ");
	pk_str_add_escaped(run->out, x->what);
	for (int i = 0, n = 0; i < 4; i++)
		if (x->wants[i] && x->want[i] != got[i])
			pk_str_addf(run->out, "%s %s: expected %s, got %s", n++ ? ";" : ":",
				    asked[i], word[x->want[i]], word[got[i]]);
	pk_str_add(run->out, "\n");
	for (int dir = 0; dir < 2; dir++)
		side_text(run, x, v, dir);
}

static void json_side(struct run *run, struct pk_jw *w, const struct pk_connection_verdict *v,
		      int dir)
{
	const struct pk_rules *rules = pk_engine_rules(pk_asker_engine(run->c->asker));
	const struct pk_judgement *j = &v->side[dir].live;
	struct pk_rule_ref ref;
	own_str text = { 0 };

	if (!v->asked[dir]) {
		pk_jw_null(w, dir == PK_EGRESS ? "egress" : "ingress");
		return;
	}
	if (pk_rules_find(rules, j->rule, &ref) < 0)
		ref = (struct pk_rule_ref){ .number = j->rule };
	pk_rule_text(&ref, j->rank, &text);
	pk_jw_open(w, dir == PK_EGRESS ? "egress" : "ingress", '{');
	pk_jw_string(w, "verdict", word[j->verdict]);
	pk_jw_string(w, "audit", word[v->side[dir].audit.verdict]);
	pk_jw_string(w, "text", text.text);
	pk_rule_json(&ref, w, "rule");
	pk_jw_close(w, '}');
}

static void print_json(struct run *run, const struct expectation *x,
		       const struct pk_connection_verdict *v, bool holds)
{
	const struct pk_lack *lack = pk_connection_lack(&x->c);
	struct pk_jw w = { .out = run->out };
	struct pk_json_where where;

	pk_json_where(run->c->json, x->json, false, &where);
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "file", run->c->path);
	pk_jw_int(&w, "line", where.line);
	pk_jw_string(&w, "from", x->from);
	pk_jw_string(&w, "to", x->to);
	pk_jw_string(&w, "what", x->what);
	pk_jw_bool(&w, "holds", holds);
	pk_jw_string(&w, "verdict", word[v->verdict]);
	pk_jw_string(&w, "audit", word[v->audit]);
	pk_jw_string(&w, "notBuilt", lack ? lack->what : NULL);
	pk_jw_open(&w, "expected", '{');
	for (int i = 0; i < 4; i++)
		if (x->wants[i])
			pk_jw_string(&w, asked[i], word[x->want[i]]);
	pk_jw_close(&w, '}');
	json_side(run, &w, v, PK_EGRESS);
	json_side(run, &w, v, PK_INGRESS);
	pk_jw_close(&w, '}');
	pk_str_add(run->out, "\n");
}

/* An expectation is of policy; what policy allows may still have no way. */
static void say_not_built(struct run *run, const struct expectation *x,
			  const struct pk_connection_verdict *v)
{
	const struct pk_lack *lack = pk_connection_lack(&x->c);
	struct pk_json_where where;

	if (!lack || v->verdict != PK_ALLOW || run->options->quiet)
		return;
	pk_json_where(run->c->json, x->json, false, &where);
	pk_str_add_escaped(run->said, run->c->path);
	pk_str_addf(run->said, ":%d: note: policy allows ", where.line);
	pk_str_add_escaped(run->said, x->what);
	pk_str_addf(run->said, ", and this release has no %s: dropped as %s\n", lack->what,
		    lack->reason);
}

static int check(struct run *run, const struct pk_json *json)
{
	struct pk_connection_verdict v;
	enum pk_verdict got[4];
	struct expectation x;
	bool holds = true;
	int r = read_expectation(run, json, &x);

	if (r < 0)
		return r;
	r = pk_ask_connection(run->c->asker, run->options->engine, &x.c, &v, run->err);
	if (r < 0)
		return r;
	got_all(&v, got);
	for (int i = 0; i < 4; i++)
		holds &= !x.wants[i] || x.want[i] == got[i];
	say_not_built(run, &x, &v);
	run->tally->held += holds;
	run->tally->failed += !holds;
	if (run->options->json)
		print_json(run, &x, &v, holds);
	else if (!holds)
		print_failed(run, &x, &v, got);
	return 0;
}

static int check_all(struct run *run)
{
	const struct pk_json *root = pk_json_root(run->c->json);
	const struct pk_json *list = pk_json_get(root, "expect");
	int r = 0;

	if (!list || pk_json_type(list) != PK_JSON_ARRAY)
		return pk_json_fail(run->err, run->c->json, list ? list : root, false,
				    "expected \"expect\" with an array of expectations");
	for (const struct pk_json *v = pk_json_first(list); v && r == 0; v = pk_json_next(v))
		r = check(run, v);
	return r;
}

static int adopt_live(struct pk_scenario *c, const struct pk_reach_options *options,
		      struct pk_str *said, struct pk_err *err)
{
	own_mem char *text = NULL;
	own_scenario *live = NULL;
	size_t len = 0;
	int r;

	if (!options->live) {
		pk_fail(err, 0, "%s has no \"endpoints\"", c->path);
		return pk_fix(err, -EINVAL, "give the file endpoints of its own");
	}
	r = options->live(options->live_arg, &text, &len, err);
	if (r == 0)
		r = pk_scenario_live(text, len, &live, said, err);
	return r < 0 ? r : pk_scenario_adopt(c, live, err);
}

int pk_reach(const char *path, const struct pk_reach_options *options, struct pk_str *out,
	     struct pk_str *said, struct pk_reach_tally *tally, struct pk_err *err)
{
	struct run run = {
		.options = options, .out = out, .said = said, .tally = tally, .err = err
	};
	own_mem char *text = NULL;
	own_scenario *c = NULL;
	size_t len;
	int r;

	r = pk_fs_read(path, SUITE_MAX, &text, &len, err);
	if (r == 0)
		r = pk_scenario_read(path, text, len, &c, said, err);
	if (r == 0 && !c->has_endpoints)
		r = adopt_live(c, options, said, err);
	if (r < 0)
		return r;
	pk_asker_set_kernel(c->asker, options->kernel);
	r = pk_scenario_ready(c, err);
	run.c = c;
	return r < 0 ? r : check_all(&run);
}
