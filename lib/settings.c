/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "json.h"
#include "own.h"
#include "picket/limits.h"

static const char *const baseline_names[] = { "tenant", "deny", "open", NULL };

const char *pk_baseline_name(enum pk_baseline b)
{
	return baseline_names[b];
}

int pk_baseline_parse(const char *text, enum pk_baseline *out)
{
	for (int i = 0; baseline_names[i]; i++)
		if (strcmp(text, baseline_names[i]) == 0) {
			*out = (enum pk_baseline)i;
			return 0;
		}
	return -EINVAL;
}

/* "1.9.4", "1.10.0+ent", "1.9.4-beta.1" */
static bool read_version(const char *text, unsigned int v[3], bool *before_release)
{
	char *end = NULL;

	for (int i = 0; i < 3; i++) {
		unsigned long n;

		if (*text < '0' || *text > '9')
			return false;
		n = strtoul(text, &end, 10);
		if (n > 65535 || (i < 2 && *end != '.'))
			return false;
		v[i] = (unsigned int)n;
		text = end + (i < 2);
	}
	*before_release = *end == '-';
	return !*end || *end == '-' || *end == '+';
}

enum pk_args_word pk_settings_args_word(const struct pk_settings *s)
{
	static const unsigned int first[3] = { 1, 9, 4 };
	unsigned int v[3];
	bool before;

	if (!s->has_nomad || s->nomad_unasked)
		return PK_ARGS_BELIEVED;
	if (!read_version(s->nomad_version, v, &before))
		return PK_ARGS_UNKNOWN;
	for (int i = 0; i < 3; i++)
		if (v[i] != first[i])
			return v[i] > first[i] ? PK_ARGS_BELIEVED : PK_ARGS_OF_AUTHOR;
	return before ? PK_ARGS_OF_AUTHOR : PK_ARGS_BELIEVED;
}

void pk_settings_init(struct pk_settings *s)
{
	*s = (struct pk_settings){
		.baseline = PK_BASELINE_TENANT,
		.has_nomad = true,
		.health_checks = true,
		.masquerade = { .ipv4 = true,
				.low = PK_MASQUERADE_LOW,
				.high = PK_MASQUERADE_HIGH },
		.capacity = PK_CAPACITY_DEFAULT,
		.flow_budget = PK_FLOW_BUDGET_DEFAULT,
		.new_flows_per_s = PK_NEW_FLOWS_DEFAULT,
	};
	pk_timeouts_init(s->timeout);
}

void pk_settings_done(struct pk_settings *s)
{
	free(s->pools);
	free(s->resolvers);
	free(s->reach);
	*s = (struct pk_settings){ 0 };
}

int pk_settings_get_baseline(struct pk_settings *s, const struct pk_json_doc *doc,
			     const struct pk_json *object, struct pk_err *err)
{
	const struct pk_json *v = pk_json_get(object, "baseline");
	const char *text = NULL;
	int r = pk_json_get_string(doc, object, "baseline", &text, err);

	if (r < 0 || !text)
		return r;
	if (pk_baseline_parse(text, &s->baseline) < 0)
		return pk_json_fail(err, doc, v, false, "\"%s\" is none of tenant, deny, open",
				    text);
	s->baseline_given = true;
	return 0;
}

/* The list behind key as an array value; 0 with *list NULL where absent or null. */
static int get_list(const struct pk_json_doc *doc, const struct pk_json *object, const char *key,
		    const struct pk_json **list, struct pk_err *err)
{
	const struct pk_json *v = pk_json_get(object, key);

	*list = NULL;
	if (!v || pk_json_type(v) == PK_JSON_NULL)
		return 0;
	if (pk_json_type(v) != PK_JSON_ARRAY)
		return pk_json_fail(err, doc, v, false, "%s found, expected an array",
				    pk_json_type_name(pk_json_type(v)));
	*list = v;
	return 0;
}

static int prefix_of(const struct pk_json_doc *doc, const struct pk_json *v, struct pk_prefix *out,
		     struct pk_err *err)
{
	const char *text = pk_json_string(v);
	struct pk_prefix masked;

	if (!text || pk_prefix_parse(text, out) < 0)
		return pk_json_fail(err, doc, v, false,
				    "not a prefix such as \"10.40.0.0/16\" or \"fd40::/48\"");
	masked = *out;
	pk_prefix_mask(&masked);
	if (!pk_addr_equal(&masked.addr, &out->addr)) {
		char shown[PK_ADDR_TEXT];

		return pk_json_fail(err, doc, v, false,
				    "\"%s\" has host bits set; did you mean \"%s\"?", text,
				    pk_prefix_format(&masked, shown));
	}
	return 0;
}

int pk_settings_get_pools(struct pk_settings *s, const struct pk_json_doc *doc,
			  const struct pk_json *object, struct pk_err *err)
{
	own_mem struct pk_prefix *pools = NULL;
	const struct pk_json *list;
	size_t n = 0;
	int r = get_list(doc, object, "pools", &list, err);

	if (r < 0 || !list)
		return r;
	pools = calloc(pk_json_count(list) + 1, sizeof(*pools));
	if (!pools)
		return pk_fail(err, ENOMEM, "pools");
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		r = prefix_of(doc, v, &pools[n++], err);
		if (r < 0)
			return r;
	}
	free(s->pools);
	s->pools = PK_MOVE(pools, NULL);
	s->n_pools = n;
	s->pools_given = true;
	return 0;
}

int pk_settings_get_resolvers(struct pk_settings *s, const struct pk_json_doc *doc,
			      const struct pk_json *object, struct pk_err *err)
{
	own_mem union pk_addr *resolvers = NULL;
	const struct pk_json *list;
	bool host = false;
	size_t n = 0;
	int r = get_list(doc, object, "resolvers", &list, err);

	if (r < 0 || !list)
		return r;
	resolvers = calloc(pk_json_count(list) + 1, sizeof(*resolvers));
	if (!resolvers)
		return pk_fail(err, ENOMEM, "resolvers");
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		const char *text = pk_json_string(v);

		if (text && strcmp(text, "host") == 0)
			host = true;
		else if (!text || pk_addr_parse(text, &resolvers[n++]) < 0)
			return pk_json_fail(err, doc, v, false, "neither an address nor \"host\"");
	}
	free(s->resolvers);
	s->resolvers = PK_MOVE(resolvers, NULL);
	s->n_resolvers = n;
	s->resolver_host = host;
	s->resolvers_given = true;
	return 0;
}

int pk_settings_get_reach(struct pk_settings *s, const struct pk_json_doc *doc,
			  const struct pk_json *object, struct pk_err *err)
{
	own_mem struct pk_prefix *reach = NULL;
	const struct pk_json *list;
	bool host = false, remote = false;
	size_t n = 0;
	int r = get_list(doc, object, "tenantReach", &list, err);

	if (r < 0 || !list)
		return r;
	reach = calloc(pk_json_count(list) + 1, sizeof(*reach));
	if (!reach)
		return pk_fail(err, ENOMEM, "tenantReach");
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		const char *text = pk_json_string(v);

		if (text && strcmp(text, "host") == 0)
			host = true;
		else if (text && strcmp(text, "remote-node") == 0)
			remote = true;
		else if ((r = prefix_of(doc, v, &reach[n++], err)) < 0)
			return r;
	}
	free(s->reach);
	s->reach = PK_MOVE(reach, NULL);
	s->n_reach = n;
	s->reach_host = host;
	s->reach_remote_node = remote;
	return 0;
}

static int get_u32(const struct pk_json_doc *doc, const struct pk_json *object, const char *key,
		   struct pk_json_range range, uint32_t *out, struct pk_err *err)
{
	int64_t v = *out;
	int r = pk_json_get_int(doc, object, key, range, &v, err);

	if (r == 0)
		*out = (uint32_t)v;
	return r;
}

int pk_settings_get_sizes(struct pk_settings *s, const struct pk_json_doc *doc,
			  const struct pk_json *object, struct pk_err *err)
{
	static const char *const capacity_keys[] = { "endpoints", NULL };
	static const char *const limit_keys[] = { "flowsPerEndpoint", "newFlowsPerSecond", NULL };
	const struct pk_json *capacity = pk_json_get(object, "capacity");
	const struct pk_json *limits = pk_json_get(object, "limits");
	int r = 0;

	if (capacity)
		r = pk_json_only(doc, capacity, capacity_keys, err);
	if (r == 0 && capacity)
		r = get_u32(doc, capacity, "endpoints",
			    (struct pk_json_range){ 1, PK_CAPACITY_MAX }, &s->capacity, err);
	if (r == 0 && limits)
		r = pk_json_only(doc, limits, limit_keys, err);
	if (r == 0 && limits)
		r = get_u32(doc, limits, "flowsPerEndpoint",
			    (struct pk_json_range){ 16, PK_FLOW_BUDGET_MAX }, &s->flow_budget, err);
	if (r == 0 && limits)
		r = get_u32(doc, limits, "newFlowsPerSecond", (struct pk_json_range){ 0, 10000000 },
			    &s->new_flows_per_s, err);
	return r;
}

#define TIMEOUT_NAME(sym, name, seconds, text) [PK_TIMEOUT_##sym] = name,
static const char *const timeout_names[] = { PK_TIMEOUTS(TIMEOUT_NAME) NULL };
_Static_assert(PK_ARRAY_LEN(timeout_names) == PK_TIMEOUT_COUNT + 1, "a name for each");

const char *pk_timeout_name(enum pk_timeout timeout)
{
	return timeout_names[timeout];
}

int pk_settings_get_timeouts(struct pk_settings *s, const struct pk_json_doc *doc,
			     const struct pk_json *object, struct pk_err *err)
{
	const struct pk_json_range range = { PK_TIMEOUT_MIN, PK_TIMEOUT_MAX };
	const struct pk_json *timeouts = pk_json_get(object, "timeouts");
	uint32_t seconds[PK_TIMEOUT_ROOM];
	int r = 0;

	memcpy(seconds, s->timeout, sizeof(seconds));
	if (timeouts)
		r = pk_json_only(doc, timeouts, timeout_names, err);
	for (int i = 0; i < PK_TIMEOUT_COUNT && timeouts && r == 0; i++)
		r = get_u32(doc, timeouts, timeout_names[i], range, &seconds[i], err);
	if (r == 0)
		memcpy(s->timeout, seconds, sizeof(seconds));
	return r;
}

static int get_label(const struct pk_json_doc *doc, const struct pk_json *object, const char *key,
		     char *out, size_t room, struct pk_err *err)
{
	const char *text = NULL;
	int r = pk_json_get_string(doc, object, key, &text, err);

	if (r < 0 || !text)
		return r;
	if (strlen(text) >= room)
		return pk_json_fail(err, doc, pk_json_get(object, key), false,
				    "longer than %zu bytes", room - 1);
	strcpy(out, text);
	return 0;
}

static int get_labels(struct pk_settings *s, const struct pk_json_doc *doc,
		      const struct pk_json *object, struct pk_err *err)
{
	static const char *const names[] = { "nomad:region", "nomad:node", "nomad:nodepool",
					     "nomad:datacenter", NULL };
	const struct pk_json *v = pk_json_get(object, "labels");
	int r = v ? pk_json_only(doc, v, names, err) : 0;

	if (r < 0 || !v)
		return r;
	r = get_label(doc, v, names[0], s->region, sizeof(s->region), err);
	if (r == 0)
		r = get_label(doc, v, names[1], s->node, sizeof(s->node), err);
	if (r == 0)
		r = get_label(doc, v, names[2], s->node_pool, sizeof(s->node_pool), err);
	if (r == 0)
		r = get_label(doc, v, names[3], s->datacenter, sizeof(s->datacenter), err);
	return r;
}

/* A bool is what release 0.1 wrote, whatever its configuration said. */
static int read_masquerade(struct pk_settings *s, const struct pk_json_doc *doc,
			   const struct pk_json *root, struct pk_err *err)
{
	const struct pk_json *v = pk_json_get(root, "masquerade");

	return v && pk_json_type(v) == PK_JSON_BOOL ? 0
						    : pk_settings_get_masquerade(s, doc, root, err);
}

/* packetPath: written by release 0.1, of no meaning any more. */
static int read_doc(struct pk_settings *s, const struct pk_json_doc *doc, struct pk_err *err)
{
	static const char *const names[] = {
		"baseline",  "nomad",	    "healthChecks",    "masquerade",   "pools",
		"resolvers", "tenantReach", "capacity",	       "limits",       "packetPath",
		"labels",    "uplinks",	    "baselineDiffers", "nomadVersion", "timeouts",
		"cgroup",    NULL
	};
	const struct pk_json *root = pk_json_root(doc);
	int r = pk_json_only(doc, root, names, err);

	if (r == 0)
		r = pk_settings_get_baseline(s, doc, root, err);
	if (r == 0)
		r = pk_json_get_bool(doc, root, "baselineDiffers", &s->baseline_differs, err);
	if (r == 0)
		r = pk_json_get_bool(doc, root, "nomad", &s->has_nomad, err);
	if (r == 0)
		r = pk_json_get_bool(doc, root, "healthChecks", &s->health_checks, err);
	if (r == 0)
		r = read_masquerade(s, doc, root, err);
	if (r == 0)
		r = pk_settings_get_uplinks(s, doc, root, err);
	if (r == 0)
		r = pk_settings_get_pools(s, doc, root, err);
	if (r == 0)
		r = pk_settings_get_resolvers(s, doc, root, err);
	if (r == 0)
		r = pk_settings_get_reach(s, doc, root, err);
	if (r == 0)
		r = pk_settings_get_sizes(s, doc, root, err);
	if (r == 0)
		r = pk_settings_get_timeouts(s, doc, root, err);
	if (r == 0)
		r = get_labels(s, doc, root, err);
	if (r == 0)
		r = get_label(doc, root, "cgroup", s->cgroup, sizeof(s->cgroup), err);
	if (r == 0)
		r = get_label(doc, root, "nomadVersion", s->nomad_version, sizeof(s->nomad_version),
			      err);
	s->nomad_unasked &= r < 0;
	return r;
}

int pk_settings_read(struct pk_settings *s, const char *path, struct pk_err *err)
{
	own_mem char *text = NULL;
	own_json *doc = NULL;
	size_t len;
	int r = pk_fs_read_own(path, PK_JSON_MAX, &text, &len, err);

	if (r < 0)
		return r;
	r = pk_json_parse(path, text, len, PK_JSON_NEWER, &doc, err);
	return r < 0 ? r : read_doc(s, doc, err);
}

static void write_prefixes(struct pk_jw *w, const struct pk_prefix *list, size_t n)
{
	char text[PK_ADDR_TEXT];

	for (size_t i = 0; i < n; i++)
		pk_jw_string(w, NULL, pk_prefix_format(&list[i], text));
}

void pk_settings_write_pools(const struct pk_settings *s, struct pk_jw *w, const char *key)
{
	pk_jw_open(w, key, '[');
	write_prefixes(w, s->pools, s->n_pools);
	pk_jw_close(w, ']');
}

void pk_settings_write_resolvers(const struct pk_settings *s, struct pk_jw *w, const char *key)
{
	char text[PK_ADDR_TEXT];

	pk_jw_open(w, key, '[');
	for (size_t i = 0; i < s->n_resolvers; i++)
		pk_jw_string(w, NULL, pk_addr_format(&s->resolvers[i], text));
	if (s->resolver_host)
		pk_jw_string(w, NULL, "host");
	pk_jw_close(w, ']');
}

void pk_settings_write_reach(const struct pk_settings *s, struct pk_jw *w, const char *key)
{
	pk_jw_open(w, key, '[');
	write_prefixes(w, s->reach, s->n_reach);
	if (s->reach_host)
		pk_jw_string(w, NULL, "host");
	if (s->reach_remote_node)
		pk_jw_string(w, NULL, "remote-node");
	pk_jw_close(w, ']');
}

static void write_label(struct pk_jw *w, const char *key, const char *value)
{
	if (*value)
		pk_jw_string(w, key, value);
}

void pk_settings_json(const struct pk_settings *s, struct pk_str *out)
{
	struct pk_jw w = { .out = out, .indent = 2 };

	pk_jw_open(&w, NULL, '{');
	if (s->baseline_given)
		pk_jw_string(&w, "baseline", pk_baseline_name(s->baseline));
	if (s->baseline_differs)
		pk_jw_bool(&w, "baselineDiffers", true);
	pk_jw_bool(&w, "nomad", s->has_nomad);
	write_label(&w, "nomadVersion", s->nomad_version);
	pk_jw_bool(&w, "healthChecks", s->health_checks);
	pk_settings_write_masquerade(s, &w, "masquerade");
	if (s->uplinks_given)
		pk_settings_write_uplinks(s, &w, "uplinks");
	if (s->pools_given)
		pk_settings_write_pools(s, &w, "pools");
	if (s->resolvers_given)
		pk_settings_write_resolvers(s, &w, "resolvers");
	pk_settings_write_reach(s, &w, "tenantReach");
	pk_jw_open(&w, "capacity", '{');
	pk_jw_uint(&w, "endpoints", s->capacity);
	pk_jw_close(&w, '}');
	pk_jw_open(&w, "limits", '{');
	pk_jw_uint(&w, "flowsPerEndpoint", s->flow_budget);
	pk_jw_uint(&w, "newFlowsPerSecond", s->new_flows_per_s);
	pk_jw_close(&w, '}');
	if (*s->cgroup)
		pk_jw_string(&w, "cgroup", s->cgroup);
	pk_jw_open(&w, "timeouts", '{');
	for (int i = 0; i < PK_TIMEOUT_COUNT; i++)
		pk_jw_uint(&w, timeout_names[i], s->timeout[i]);
	pk_jw_close(&w, '}');
	pk_jw_open(&w, "labels", '{');
	write_label(&w, "nomad:region", s->region);
	write_label(&w, "nomad:node", s->node);
	write_label(&w, "nomad:nodepool", s->node_pool);
	write_label(&w, "nomad:datacenter", s->datacenter);
	pk_jw_close(&w, '}');
	pk_jw_close(&w, '}');
	pk_str_add(out, "\n");
}
