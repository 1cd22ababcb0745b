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
#include "settings_forms.h"

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
		.baseline_before = PK_BASELINE_OPEN, /* an older node.json keeps nothing */
		.has_nomad = true,
		.health_checks = true,
		.masquerade = { .ipv4 = true,
				.low = PK_MASQUERADE_LOW,
				.high = PK_MASQUERADE_HIGH },
		.vxlan = { .port = PK_VXLAN_PORT, .vni = PK_VXLAN_VNI, .underlay = "ipv4" },
		.capacity = PK_CAPACITY_DEFAULT,
		.flow_budget = PK_FLOW_BUDGET_DEFAULT,
		.new_flows_per_s = PK_NEW_FLOWS_DEFAULT,
	};
	pk_timeouts_init(s->timeout);
}

void pk_settings_done(struct pk_settings *s)
{
	free(s->pools);
	free(s->blocks);
	free(s->resolvers);
	free(s->reach);
	free(s->services);
	free(s->network);
	*s = (struct pk_settings){ 0 };
}

void pk_settings_copy(struct pk_settings *to, const struct pk_settings *from)
{
	pk_settings_done(to);
	*to = *from;
	to->pools = pk_alloc((from->n_pools + 1) * sizeof(*to->pools));
	to->blocks = pk_alloc((from->n_blocks + 1) * sizeof(*to->blocks));
	to->resolvers = pk_alloc((from->n_resolvers + 1) * sizeof(*to->resolvers));
	to->reach = pk_alloc((from->n_reach + 1) * sizeof(*to->reach));
	to->services = pk_alloc((from->n_services + 1) * sizeof(*to->services));
	to->network = NULL;
	pk_settings_copy_networks(to, from);
	if (from->n_pools)
		memcpy(to->pools, from->pools, from->n_pools * sizeof(*to->pools));
	if (from->n_blocks)
		memcpy(to->blocks, from->blocks, from->n_blocks * sizeof(*to->blocks));
	if (from->n_resolvers)
		memcpy(to->resolvers, from->resolvers, from->n_resolvers * sizeof(*to->resolvers));
	if (from->n_reach)
		memcpy(to->reach, from->reach, from->n_reach * sizeof(*to->reach));
	if (from->n_services)
		memcpy(to->services, from->services, from->n_services * sizeof(*to->services));
}

#define AT(name, form, member, help)                                                               \
	{ name, &(form), help, false, offsetof(struct pk_settings, member) }
#define WHOLE(name, form, help) { name, &(form), help, false, 0 }
#define TEXT_OF(name, member)                                                                      \
	static const struct pk_schema name = {                                                     \
		.form = PK_FORM_STRING,                                                            \
		.kept = &pk_kept_text,                                                             \
		.not_empty = true,                                                                 \
		.room = sizeof(((struct pk_settings *)0)->member),                                 \
	}
TEXT_OF(region, region);
TEXT_OF(node_name, node);
TEXT_OF(node_pool, node_pool);
TEXT_OF(datacenter, datacenter);
TEXT_OF(cgroup, cgroup);
TEXT_OF(nomad_version, nomad_version);

static const struct pk_schema_key label_keys[] = {
	AT("nomad:region", region, region, NULL),
	AT("nomad:node", node_name, node, NULL),
	AT("nomad:nodepool", node_pool, node_pool, NULL),
	AT("nomad:datacenter", datacenter, datacenter, NULL),
	{ .name = NULL },
};
static const struct pk_schema labels = { .form = PK_FORM_OBJECT, .keys = label_keys };
static const struct pk_schema bare_bool = { .form = PK_FORM_BOOL };
/* A bool is what release 0.1 wrote, whatever its configuration said. */
static const struct pk_schema masquerade = {
	.form = PK_FORM_EITHER,
	.item = &bare_bool,
	.other = &pk_form_masquerade,
};
/* It says that the node is in the overlay by being there at all. */
static const struct pk_schema_key vxlan_keys[] = {
	{ "on", &pk_form_bool, NULL, true, offsetof(struct pk_vxlan, on) },
	PK_VXLAN_KEYS,
	{ .name = NULL },
};
static const struct pk_schema vxlan = { .form = PK_FORM_OBJECT, .keys = vxlan_keys };
static int read_in_force(const struct pk_schema *form, const struct pk_json_doc *doc,
			 const struct pk_json *v, void *at, struct pk_err *err)
{
	struct pk_settings *s = at;

	(void)form, (void)doc, (void)err;
	return pk_baseline_parse(pk_json_string(v), &s->baseline_before);
}

static void write_in_force(const struct pk_schema *form, struct pk_jw *w, const char *key,
			   const void *at)
{
	(void)form;
	pk_jw_string(w, key, pk_baseline_name(((const struct pk_settings *)at)->baseline));
}

static const struct pk_kept kept_in_force = { read_in_force, write_in_force };
static const struct pk_schema in_force = { .form = PK_FORM_STRING,
					   .format = &pk_format_baseline,
					   .kept = &kept_in_force };
static const struct pk_schema_key keys[] = {
	WHOLE("baseline", pk_form_baseline, NULL),
	WHOLE("baselineInForce", in_force, NULL),
	AT("baselineDiffers", pk_form_bool, baseline_differs, NULL),
	AT("nomad", pk_form_bool, has_nomad, NULL),
	AT("nomadVersion", nomad_version, nomad_version, NULL),
	AT("healthChecks", pk_form_bool, health_checks, NULL),
	AT("masquerade", masquerade, masquerade, NULL),
	AT("uplinks", pk_form_uplinks_or_null, uplinks, NULL),
	AT("vxlan", vxlan, vxlan, NULL),
	WHOLE("pools", pk_form_pools, NULL),
	WHOLE("claimed", pk_form_claimed, NULL),
	WHOLE("resolvers", pk_form_resolvers, NULL),
	WHOLE("tenantReach", pk_form_reach, NULL),
	WHOLE("services", pk_form_services_kept, NULL),
	WHOLE("capacity", pk_form_capacity, NULL),
	WHOLE("limits", pk_form_limits, NULL),
	AT("newFlowsGiven", pk_form_bool, new_flows_given, NULL), /* behind limits */
	AT("cgroup", cgroup, cgroup, NULL),
	WHOLE("timeouts", pk_form_timeouts, NULL),
	WHOLE("labels", labels, NULL),
	WHOLE("packetPath", pk_form_any, NULL), /* release 0.1 wrote it; of no meaning any more */
	{ .name = NULL },
};
static const struct pk_schema node_json = { .form = PK_FORM_OBJECT, .keys = keys };

int pk_settings_get(struct pk_settings *s, const struct pk_json_doc *doc,
		    const struct pk_json *object, const char *key, struct pk_err *err)
{
	const struct pk_json *v = pk_json_get(object, key);

	if (!v || pk_json_type(v) == PK_JSON_NULL)
		return 0;
	return pk_schema_read_member(&node_json, doc, v, s, err);
}

void pk_settings_write(const struct pk_settings *s, struct pk_jw *w, const char *key)
{
	pk_schema_write_member(pk_schema_find(&node_json, key), w, key, s);
}

static int read_doc(struct pk_settings *s, const struct pk_json_doc *doc, struct pk_err *err)
{
	int r = pk_schema_read(&node_json, doc, pk_json_root(doc), s, err);

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

/* Returns whether picketd.json leaves the key to the conflist. */
static bool is_unsaid(const struct pk_settings *s, const char *key)
{
	const struct {
		const char *key;
		bool said;
	} may_lack[] = {
		{ "baseline", s->baseline_given },
		{ "baselineDiffers", s->baseline_differs },
		{ "uplinks", s->uplinks.given },
		{ "pools", s->pools_given },
		{ "resolvers", s->resolvers_given },
		{ "claimed", s->claimed },
		{ "vxlan", s->vxlan.on },
	};

	for (size_t i = 0; i < PK_ARRAY_LEN(may_lack); i++)
		if (strcmp(may_lack[i].key, key) == 0)
			return !may_lack[i].said;
	return false;
}

void pk_settings_json(const struct pk_settings *s, struct pk_str *out)
{
	struct pk_jw w = { .out = out, .indent = 2 };

	pk_jw_open(&w, NULL, '{');
	for (const struct pk_schema_key *k = keys; k->name; k++)
		if (!is_unsaid(s, k->name))
			pk_schema_write_member(k, &w, k->name, s);
	pk_jw_close(&w, '}');
	pk_str_add(out, "\n");
}
