/* SPDX-License-Identifier: Apache-2.0 */
#include "addr_json.h"
#include "settings_forms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cni_conf.h"
#include "own.h"
#include "picket/limits.h"
#include "settings.h"

#define AT(name, form, member, help)                                                               \
	{ name, &(form), help, false, offsetof(struct pk_settings, member) }
#define END { .name = NULL }

const struct pk_schema pk_form_bool = { .form = PK_FORM_BOOL, .kept = &pk_kept_bool };
const struct pk_schema pk_form_any = { .form = PK_FORM_ANY };

static bool fits_path(const char *text)
{
	return *text == '/';
}
const struct pk_format pk_format_path = {
	.expected = "an absolute path",
	.pattern = "^/",
	.fits = fits_path,
};

static const char *const baseline_words[] = { "tenant", "deny", "open", NULL };
_Static_assert(PK_BASELINE_OPEN == 2, "in the enumeration's order");
const struct pk_format pk_format_baseline = { .expected = "one of tenant, deny, open",
					      .words = baseline_words };

const char *pk_baseline_name(enum pk_baseline b)
{
	return baseline_words[b];
}

int pk_baseline_parse(const char *text, enum pk_baseline *out)
{
	for (int i = 0; baseline_words[i]; i++)
		if (strcmp(text, baseline_words[i]) == 0) {
			*out = (enum pk_baseline)i;
			return 0;
		}
	return -EINVAL;
}

static int read_baseline(const struct pk_schema *form, const struct pk_json_doc *doc,
			 const struct pk_json *v, void *at, struct pk_err *err)
{
	struct pk_settings *s = at;

	(void)form, (void)doc, (void)err;
	s->baseline_given = true;
	return pk_baseline_parse(pk_json_string(v), &s->baseline);
}

static void write_baseline(const struct pk_schema *form, struct pk_jw *w, const char *key,
			   const void *at)
{
	(void)form;
	pk_jw_string(w, key, pk_baseline_name(((const struct pk_settings *)at)->baseline));
}
static const struct pk_kept kept_baseline = { read_baseline, write_baseline };
const struct pk_schema pk_form_baseline = {
	.form = PK_FORM_STRING,
	.format = &pk_format_baseline,
	.kept = &kept_baseline,
	.usual = "\"tenant\"",
};

/* Prefixes, and words that may stand among them. */

static bool fits_prefix(const char *text)
{
	struct pk_prefix p, masked;

	if (pk_prefix_parse(text, &p) < 0)
		return false;
	masked = p;
	pk_prefix_mask(&masked);
	return pk_addr_equal(&masked.addr, &p.addr);
}

static const char *prefix_hint(const char *text)
{
	static _Thread_local char hint[PK_ADDR_TEXT + 60];
	char shown[PK_ADDR_TEXT];
	struct pk_prefix p;

	if (pk_prefix_parse(text, &p) < 0)
		return NULL;
	pk_prefix_mask(&p);
	snprintf(hint, sizeof(hint), "it has host bits set; did you mean \"%s\"?",
		 pk_prefix_format(&p, shown));
	return hint;
}
#define PREFIX_PATTERN "[0-9a-fA-F.:]+(/[0-9]{1,3})?"
const struct pk_format pk_format_prefix = {
	.expected = "a prefix such as \"10.40.0.0/16\" or \"fd40::/48\"",
	.pattern = "^" PREFIX_PATTERN "$",
	.fits = fits_prefix,
	.hint = prefix_hint,
};

static bool fits_reach(const char *text)
{
	return strcmp(text, "host") == 0 || strcmp(text, "remote-node") == 0 || fits_prefix(text);
}
static const struct pk_format reach_format = {
	.expected = "a prefix such as \"10.40.0.0/16\", \"host\" or \"remote-node\"",
	.pattern = "^(host|remote-node|" PREFIX_PATTERN ")$",
	.fits = fits_reach,
	.hint = prefix_hint,
};

static bool fits_resolver(const char *text)
{
	union pk_addr addr;

	return strcmp(text, "host") == 0 || pk_addr_parse(text, &addr) == 0;
}
static const struct pk_format resolver_format = {
	.expected = "an address or \"host\"",
	.pattern = "^(host|[0-9a-fA-F.:]+)$",
	.fits = fits_resolver,
};

/* Room for each element and one more; aborts as all of our allocations do. */
static void *room_for(const struct pk_json *list, size_t size)
{
	return pk_alloc((pk_json_count(list) + 1) * size);
}

static int read_pools(const struct pk_schema *form, const struct pk_json_doc *doc,
		      const struct pk_json *v, void *at, struct pk_err *err)
{
	struct pk_settings *s = at;

	(void)form, (void)doc, (void)err;
	if (pk_json_type(v) == PK_JSON_NULL)
		return 0;
	free(s->pools);
	s->pools = room_for(v, sizeof(*s->pools));
	s->n_pools = 0;
	for (const struct pk_json *e = pk_json_first(v); e; e = pk_json_next(e))
		pk_prefix_parse(pk_json_string(e), &s->pools[s->n_pools++]);
	s->pools_given = true;
	return 0;
}

static void write_pools(const struct pk_schema *form, struct pk_jw *w, const char *key,
			const void *at)
{
	const struct pk_settings *s = at;

	(void)form;
	pk_prefixes_write(w, key, s->pools, s->n_pools);
}
static const struct pk_schema prefix = { .form = PK_FORM_STRING, .format = &pk_format_prefix };
static const struct pk_kept kept_pools = { read_pools, write_pools };
const struct pk_schema pk_form_pools = {
	.form = PK_FORM_LIST,
	.item = &prefix,
	.null_ok = true,
	.kept = &kept_pools,
};

static int read_resolvers(const struct pk_schema *form, const struct pk_json_doc *doc,
			  const struct pk_json *v, void *at, struct pk_err *err)
{
	struct pk_settings *s = at;

	(void)form, (void)doc, (void)err;
	if (pk_json_type(v) == PK_JSON_NULL)
		return 0;
	free(s->resolvers);
	s->resolvers = room_for(v, sizeof(*s->resolvers));
	s->n_resolvers = 0;
	s->resolver_host = false;
	for (const struct pk_json *e = pk_json_first(v); e; e = pk_json_next(e)) {
		if (strcmp(pk_json_string(e), "host") == 0)
			s->resolver_host = true;
		else
			pk_addr_parse(pk_json_string(e), &s->resolvers[s->n_resolvers++]);
	}
	s->resolvers_given = true;
	return 0;
}

static void write_resolvers(const struct pk_schema *form, struct pk_jw *w, const char *key,
			    const void *at)
{
	const struct pk_settings *s = at;
	char text[PK_ADDR_TEXT];

	(void)form;
	pk_jw_open(w, key, '[');
	for (size_t i = 0; i < s->n_resolvers; i++)
		pk_jw_string(w, NULL, pk_addr_format(&s->resolvers[i], text));
	if (s->resolver_host)
		pk_jw_string(w, NULL, "host");
	pk_jw_close(w, ']');
}
static const struct pk_schema resolver = { .form = PK_FORM_STRING, .format = &resolver_format };
static const struct pk_kept kept_resolvers = { read_resolvers, write_resolvers };
const struct pk_schema pk_form_resolvers = {
	.form = PK_FORM_LIST,
	.item = &resolver,
	.null_ok = true,
	.kept = &kept_resolvers,
};

static int read_reach(const struct pk_schema *form, const struct pk_json_doc *doc,
		      const struct pk_json *v, void *at, struct pk_err *err)
{
	struct pk_settings *s = at;

	(void)form, (void)doc, (void)err;
	if (pk_json_type(v) == PK_JSON_NULL)
		return 0;
	free(s->reach);
	s->reach = room_for(v, sizeof(*s->reach));
	s->n_reach = 0;
	s->reach_host = s->reach_remote_node = false;
	for (const struct pk_json *e = pk_json_first(v); e; e = pk_json_next(e)) {
		if (strcmp(pk_json_string(e), "host") == 0)
			s->reach_host = true;
		else if (strcmp(pk_json_string(e), "remote-node") == 0)
			s->reach_remote_node = true;
		else
			pk_prefix_parse(pk_json_string(e), &s->reach[s->n_reach++]);
	}
	return 0;
}

static void write_reach(const struct pk_schema *form, struct pk_jw *w, const char *key,
			const void *at)
{
	const struct pk_settings *s = at;

	(void)form;
	pk_jw_open(w, key, '[');
	pk_prefixes_add(w, s->reach, s->n_reach);
	if (s->reach_host)
		pk_jw_string(w, NULL, "host");
	if (s->reach_remote_node)
		pk_jw_string(w, NULL, "remote-node");
	pk_jw_close(w, ']');
}
static const struct pk_schema reachable = { .form = PK_FORM_STRING, .format = &reach_format };
static const struct pk_kept kept_reach = { read_reach, write_reach };
const struct pk_schema pk_form_reach = {
	.form = PK_FORM_LIST,
	.item = &reachable,
	.null_ok = true,
	.kept = &kept_reach,
};

/* Sizes and times. */

#define COUNT(name, least, most_, usual_)                                                          \
	static const struct pk_schema name = {                                                     \
		.form = PK_FORM_INT,                                                               \
		.lo = (least),                                                                     \
		.hi = (most_),                                                                     \
		.kept = &pk_kept_u32,                                                              \
		.usual = (usual_),                                                                 \
	}
COUNT(endpoints, 1, PK_CAPACITY_MAX, NULL);
COUNT(flow_budget, 16, PK_FLOW_BUDGET_MAX, NULL);

static const struct pk_schema_key capacity_keys[] = {
	AT("endpoints", endpoints, capacity, "how many this node may have"),
	END,
};
const struct pk_schema pk_form_capacity = { .form = PK_FORM_OBJECT, .keys = capacity_keys };

static int read_new_flows(const struct pk_schema *form, const struct pk_json_doc *doc,
			  const struct pk_json *v, void *at, struct pk_err *err)
{
	struct pk_settings *s = at;

	s->new_flows_given = true;
	return pk_kept_u32.read(form, doc, v, &s->new_flows_per_s, err);
}

static void write_new_flows(const struct pk_schema *form, struct pk_jw *w, const char *key,
			    const void *at)
{
	pk_kept_u32.write(form, w, key, &((const struct pk_settings *)at)->new_flows_per_s);
}
static const struct pk_kept kept_new_flows = { read_new_flows, write_new_flows };
static const struct pk_schema new_flows = {
	.form = PK_FORM_INT, .lo = 0, .hi = 10000000, .kept = &kept_new_flows
};

static void write_most(const struct pk_schema *form, struct pk_jw *w, const char *key,
		       const void *at)
{
	const struct pk_limits *most = at;

	(void)form;
	if (pk_limits_any(most))
		pk_limits_write(most, w, key);
	else
		pk_jw_null(w, key);
}

static int read_most(const struct pk_schema *form, const struct pk_json_doc *doc,
		     const struct pk_json *v, void *at, struct pk_err *err)
{
	struct pk_limits *most = at;

	(void)form;
	*most = (struct pk_limits){ 0 };
	return pk_json_type(v) == PK_JSON_NULL ? 0 : pk_limits_read(doc, v, most, err);
}
static const struct pk_kept kept_most = { read_most, write_most };
static const struct pk_schema job_most = {
	.form = PK_FORM_OBJECT, .keys = pk_limits_keys, .null_ok = true, .kept = &kept_most
};

static const struct pk_schema_key limit_keys[] = {
	AT("flowsPerEndpoint", flow_budget, flow_budget,
	   "live flows; more than at the first load after a boot count from the next on"),
	{ "newFlowsPerSecond", &new_flows,
	  "begun by the endpoint, and as many from outside; 0: no limit", false, 0 },
	AT("bytesPerSecond", pk_form_both_or_null, limits.of[PK_LIMIT_BYTES],
	   "out and in, as the endpoint sees it; null: no limit"),
	AT("packetsPerSecond", pk_form_both_or_null, limits.of[PK_LIMIT_PACKETS],
	   "likewise; a frame counts for as many as it is cut into"),
	AT("jobMost", job_most, job_most,
	   "what a job's meta \"picket.limits\" may ask for; null: nothing"),
	END,
};
const struct pk_schema pk_form_limits = { .form = PK_FORM_OBJECT, .keys = limit_keys };

#define TIMEOUT_FORM(sym, name, seconds, text)                                                     \
	COUNT(timeout_##sym, PK_TIMEOUT_MIN, PK_TIMEOUT_MAX, #seconds);
PK_TIMEOUTS(TIMEOUT_FORM)
#define TIMEOUT_KEY(sym, name, seconds, text)                                                      \
	AT(name, timeout_##sym, timeout[PK_TIMEOUT_##sym], "seconds: " text),
static const struct pk_schema_key timeout_keys[] = { PK_TIMEOUTS(TIMEOUT_KEY) END };
const struct pk_schema pk_form_timeouts = { .form = PK_FORM_OBJECT, .keys = timeout_keys };

const char *pk_timeout_name(enum pk_timeout timeout)
{
	return timeout_keys[timeout].name;
}
