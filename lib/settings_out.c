/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of the way out: uplinks and masquerading, as every file writes them. */
#include <stdio.h>
#include <string.h>

#include "cni_conf.h"
#include "json.h"
#include "settings.h"

static int put_uplink(struct pk_uplink_names *names, const struct pk_json_doc *doc,
		      const struct pk_json *v, struct pk_err *err)
{
	const char *text = pk_json_string(v);

	if (!text || !cni_ifname_ok(text))
		return pk_json_fail(err, doc, v, false, "expected a network device's name");
	if (names->n == PK_UPLINKS)
		return pk_json_fail(err, doc, v, false, "a node has at most %d uplinks",
				    PK_UPLINKS);
	strcpy(names->name[names->n++], text);
	return 0;
}

int pk_uplink_names_read(const struct pk_json_doc *doc, const struct pk_json *v,
			 struct pk_uplink_names *names, struct pk_err *err)
{
	struct pk_uplink_names read = { 0 };
	int r = 0;

	if (pk_json_type(v) != PK_JSON_ARRAY)
		r = put_uplink(&read, doc, v, err);
	else if (!pk_json_first(v))
		r = pk_json_fail(err, doc, v, false, "the list is empty; leave it out instead");
	else
		for (const struct pk_json *e = pk_json_first(v); e && r == 0; e = pk_json_next(e))
			r = put_uplink(&read, doc, e, err);
	if (r == 0)
		*names = read;
	return r;
}

int pk_settings_get_uplinks(struct pk_settings *s, const struct pk_json_doc *doc,
			    const struct pk_json *object, struct pk_err *err)
{
	const struct pk_json *v = pk_json_get(object, "uplinks");
	int r;

	if (!v || pk_json_type(v) == PK_JSON_NULL)
		return 0;
	r = pk_uplink_names_read(doc, v, &s->uplinks, err);
	s->uplinks_given |= r == 0;
	return r;
}

const char *pk_masquerade_ports(const struct pk_masquerade *m, char text[16])
{
	snprintf(text, 16, "%u-%u", m->low, m->high);
	return text;
}

/* "10000-19999"; a range of less than 64 ports is a slip of the pen. */
static int get_ports(struct pk_masquerade *m, const struct pk_json_doc *doc,
		     const struct pk_json *v, struct pk_err *err)
{
	const char *text = pk_json_string(v);
	const char *dash = text ? strchr(text, '-') : NULL;
	char low[8] = "";
	uint64_t from, to;

	if (dash && dash - text < (ptrdiff_t)sizeof(low))
		memcpy(low, text, (size_t)(dash - text));
	if (!dash || pk_parse_u64(low, UINT16_MAX, &from) < 0 ||
	    pk_parse_u64(dash + 1, UINT16_MAX, &to) < 0 || from < 1024 || to < from + 63)
		return pk_json_fail(err, doc, v, false,
				    "expected 64 ports or more, such as \"10000-19999\", 1024 to "
				    "65535");
	m->low = (uint16_t)from;
	m->high = (uint16_t)to;
	return 0;
}

static int read_masquerade_keys(const struct pk_json_doc *doc, const struct pk_json *v,
				struct pk_masquerade *m, struct pk_err *err)
{
	static const char *const names[] = { "ipv4", "ipv6", "ports", NULL };
	const struct pk_json *ports = pk_json_get(v, "ports");
	int r = pk_json_only(doc, v, names, err);

	if (r == 0)
		r = pk_json_get_bool(doc, v, "ipv4", &m->ipv4, err);
	if (r == 0)
		r = pk_json_get_bool(doc, v, "ipv6", &m->ipv6, err);
	if (r == 0 && ports)
		r = get_ports(m, doc, ports, err);
	m->given |= pk_json_get(v, "ipv4") || pk_json_get(v, "ipv6");
	m->ports_given |= ports != NULL;
	return r;
}

int pk_masquerade_read(const struct pk_json_doc *doc, const struct pk_json *v,
		       struct pk_masquerade *out, struct pk_err *err)
{
	struct pk_masquerade m = *out;
	int r = 0;

	if (pk_json_type(v) == PK_JSON_OBJECT) {
		r = read_masquerade_keys(doc, v, &m, err);
	} else if (pk_json_type(v) == PK_JSON_BOOL) {
		m.ipv4 = pk_json_true(v);
		m.ipv6 = false;
		m.given = true;
	} else {
		r = pk_json_fail(err, doc, v, false,
				 "expected true, false or { \"ipv4\", \"ipv6\", \"ports\" }");
	}
	if (r == 0)
		*out = m;
	return r;
}

int pk_settings_get_masquerade(struct pk_settings *s, const struct pk_json_doc *doc,
			       const struct pk_json *object, struct pk_err *err)
{
	const struct pk_json *v = pk_json_get(object, "masquerade");

	if (!v || pk_json_type(v) == PK_JSON_NULL)
		return 0;
	return pk_masquerade_read(doc, v, &s->masquerade, err);
}

void pk_settings_write_uplinks(const struct pk_settings *s, struct pk_jw *w, const char *key)
{
	pk_jw_open(w, key, '[');
	for (size_t i = 0; i < s->uplinks.n; i++)
		pk_jw_string(w, NULL, s->uplinks.name[i]);
	pk_jw_close(w, ']');
}

void pk_settings_write_masquerade(const struct pk_settings *s, struct pk_jw *w, const char *key)
{
	char ports[16];

	pk_jw_open(w, key, '{');
	if (s->masquerade.given) {
		pk_jw_bool(w, "ipv4", s->masquerade.ipv4);
		pk_jw_bool(w, "ipv6", s->masquerade.ipv6);
	}
	pk_jw_string(w, "ports", pk_masquerade_ports(&s->masquerade, ports));
	pk_jw_close(w, '}');
}
