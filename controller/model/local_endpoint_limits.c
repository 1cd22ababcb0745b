/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of an endpoint: docs/cni.md, "Limits". */
#include <string.h>

#include "json.h"
#include "local_endpoint.h"
#include "own.h"

/*
 * Returns the limits that its job asks for. They count once Nomad says them, and never in
 * quarantine.
 */
static const struct pk_alloc_meta *asked(const struct pk_local_endpoint *m)
{
	bool said = m->confirmed == PK_CONFIRMED || m->confirmed == PK_CONTRADICTED;

	if (!said || pk_local_endpoint_quarantined(m))
		return NULL;
	for (size_t i = 0; i < m->facts->n_meta; i++)
		if (strcmp(m->facts->meta[i].key, PK_META_LIMITS) == 0)
			return &m->facts->meta[i];
	return NULL;
}

static int read_asked(const struct pk_alloc_meta *meta, struct pk_limits *out, struct pk_err *err)
{
	own_json *doc = NULL;
	int r = pk_json_parse("meta " PK_META_LIMITS, meta->value, strlen(meta->value), 0, &doc,
			      err);

	if (r == 0)
		r = pk_limits_read(doc, pk_json_root(doc), out, err);
	return pk_fix(err, r, "write it as {\"bytesPerSecond\":1000000}");
}

/* Takes all of it or nothing, so that a job knows whether it has what it asked for. */
static int take_asked(const struct pk_alloc_meta *meta, const struct pk_limits *most,
		      struct pk_limits *out, struct pk_err *err)
{
	struct pk_limits read = { 0 };
	enum pk_limit beyond;
	int r;

	if (!pk_limits_any(most))
		return pk_fix(err,
			      pk_fail(err, 0,
				      "its job's meta asks for limits, and picketd.json lets none"),
			      "take " PK_META_LIMITS
			      " out of the job's meta, or say limits.jobMost");
	r = read_asked(meta, &read, err);
	if (r < 0)
		return r;
	beyond = pk_limits_beyond(&read, most);
	if (beyond < PK_LIMIT_COUNT)
		return pk_fix(err,
			      pk_fail(err, 0, "its job's meta asks for %u %s, and the most is %u",
				      read.of[beyond], pk_limit_name(beyond), most->of[beyond]),
			      "ask for no more in " PK_META_LIMITS ", or raise limits.jobMost in "
			      "picketd.json");
	*out = read;
	return 0;
}

void pk_local_endpoint_limits(const struct pk_local_endpoint *m, const struct pk_settings *s,
			      struct pk_limits_held *held, struct pk_err *refused)
{
	const struct pk_network *network = pk_settings_network(s, m->network);
	const struct pk_alloc_meta *meta = asked(m);
	struct pk_limit_words said = { .conflist = network ? network->limits : m->limits,
				       .bandwidth = m->bandwidth,
				       .args = m->job_limits,
				       .burst = { m->burst[0], m->burst[1] } };

	*refused = (struct pk_err){ 0 };
	if (meta)
		take_asked(meta, &s->job_most, &said.meta, refused);
	pk_settings_limits(s, &said.node);
	pk_limits_hold(&said, held);
}
