/* SPDX-License-Identifier: Apache-2.0 */
#include "eplimits.h"

#include <stddef.h>

#include "json.h"
#include "picket/limits.h"

const char *pk_limit_source_name(enum pk_limit_source source)
{
	static const char *const names[] = { NULL,	 "default",   "picketd.json",
					     "conflist", "bandwidth", "job" };

	return names[source];
}

const char *pk_limit_name(enum pk_limit limit)
{
	static const char *const names[PK_LIMIT_COUNT] = {
		[PK_LIMIT_BYTES + PK_EGRESS] = "bytes out",
		[PK_LIMIT_BYTES + PK_INGRESS] = "bytes in",
		[PK_LIMIT_PACKETS + PK_EGRESS] = "packets out",
		[PK_LIMIT_PACKETS + PK_INGRESS] = "packets in",
		[PK_LIMIT_NEW_FLOWS + PK_EGRESS] = "new flows out",
		[PK_LIMIT_NEW_FLOWS + PK_INGRESS] = "new flows in",
		[PK_LIMIT_FLOWS] = "live flows",
	};

	return names[limit];
}

bool pk_limits_any(const struct pk_limits *l)
{
	for (int i = 0; i < PK_LIMIT_COUNT; i++)
		if (l->of[i])
			return true;
	return false;
}

enum pk_limit pk_limits_beyond(const struct pk_limits *l, const struct pk_limits *most)
{
	int i = 0;

	while (i < PK_LIMIT_COUNT && l->of[i] <= most->of[i])
		i++;
	return (enum pk_limit)i;
}

/* Takes each limit only where it is lower than what holds already. */
static void lower(struct pk_limits_held *held, const struct pk_limits *l,
		  enum pk_limit_source source)
{
	for (int i = 0; i < PK_LIMIT_COUNT; i++) {
		if (!l->of[i] || (held->limits.of[i] && held->limits.of[i] <= l->of[i]))
			continue;
		held->limits.of[i] = l->of[i];
		held->source[i] = source;
	}
}

void pk_limits_hold(const struct pk_limit_words *said, struct pk_limits_held *held)
{
	*held = (struct pk_limits_held){ 0 };
	lower(held, &said->conflist, PK_LIMIT_OF_CONFLIST);
	lower(held, &said->node, PK_LIMIT_OF_NODE);
	for (int i = 0; i < PK_LIMIT_COUNT; i++) {
		if (!said->meta.of[i])
			continue;
		held->limits.of[i] = said->meta.of[i];
		held->source[i] = PK_LIMIT_OF_JOB;
	}
	lower(held, &said->bandwidth, PK_LIMIT_OF_BANDWIDTH);
	lower(held, &said->args, PK_LIMIT_OF_JOB);
	for (int dir = 0; dir < 2; dir++)
		if (held->source[PK_LIMIT_BYTES + dir] == PK_LIMIT_OF_BANDWIDTH)
			held->burst[dir] = said->burst[dir];
}

static const struct pk_schema count = {
	.form = PK_FORM_INT, .lo = 1, .hi = UINT32_MAX, .kept = &pk_kept_u32
};
static const struct pk_schema flows = {
	.form = PK_FORM_INT, .lo = 1, .hi = PK_FLOW_BUDGET_MAX, .kept = &pk_kept_u32
};
static const struct pk_schema_key way_keys[] = {
	{ "in", &count, NULL, false, PK_INGRESS * sizeof(uint32_t) },
	{ "out", &count, NULL, false, PK_EGRESS * sizeof(uint32_t) },
	{ .name = NULL },
};
static const struct pk_schema ways = { .form = PK_FORM_OBJECT, .keys = way_keys };

/* Reads a number, which is one for both directions; null is none. */
static int read_both(const struct pk_schema *s, const struct pk_json_doc *doc,
		     const struct pk_json *v, void *at, struct pk_err *err)
{
	uint32_t *of = at;
	int r = 0;

	(void)s;
	of[PK_EGRESS] = of[PK_INGRESS] = 0;
	if (pk_json_type(v) == PK_JSON_OBJECT)
		return pk_schema_take(&ways, doc, v, of, err);
	if (pk_json_type(v) == PK_JSON_NUMBER)
		r = pk_kept_u32.read(&count, doc, v, &of[PK_EGRESS], err);
	of[PK_INGRESS] = of[PK_EGRESS];
	return r;
}

static void write_both(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	const uint32_t *of = at;

	(void)s;
	if (!of[PK_EGRESS] && !of[PK_INGRESS]) {
		pk_jw_null(w, key);
		return;
	}
	pk_jw_open(w, key, '{');
	if (of[PK_INGRESS])
		pk_jw_uint(w, "in", of[PK_INGRESS]);
	if (of[PK_EGRESS])
		pk_jw_uint(w, "out", of[PK_EGRESS]);
	pk_jw_close(w, '}');
}
static const struct pk_kept kept_both = { read_both, write_both };
static const struct pk_schema both = {
	.form = PK_FORM_EITHER, .item = &count, .other = &ways, .kept = &kept_both
};
const struct pk_schema pk_form_both_or_null = {
	.form = PK_FORM_EITHER, .item = &count, .other = &ways, .kept = &kept_both, .null_ok = true
};

#define AT(name, form, limit, help)                                                                \
	{ name, &(form), help, false, offsetof(struct pk_limits, of[limit]) }
const struct pk_schema_key pk_limits_keys[] = {
	AT("bytesPerSecond", both, PK_LIMIT_BYTES, "out and in, as the endpoint sees it"),
	AT("packetsPerSecond", both, PK_LIMIT_PACKETS, "likewise"),
	AT("newFlowsPerSecond", both, PK_LIMIT_NEW_FLOWS,
	   "begun by the endpoint, and from outside"),
	AT("flows", flows, PK_LIMIT_FLOWS, "live ones"),
	{ .name = NULL },
};
static const struct pk_schema limits_form = { .form = PK_FORM_OBJECT, .keys = pk_limits_keys };

int pk_limits_read(const struct pk_json_doc *doc, const struct pk_json *value,
		   struct pk_limits *limits, struct pk_err *err)
{
	struct pk_limits read = *limits;
	int r = pk_schema_read(&limits_form, doc, value, &read, err);

	if (r == 0)
		*limits = read;
	return r;
}

void pk_limits_write(const struct pk_limits *l, struct pk_jw *w, const char *key)
{
	pk_jw_open(w, key, '{');
	for (const struct pk_schema_key *k = pk_limits_keys; k->name; k++) {
		const uint32_t *of = (const void *)((const char *)l + k->at);

		if (of[0] || (k->form == &both && of[1]))
			pk_schema_write_member(k, w, k->name, l);
	}
	pk_jw_close(w, '}');
}
