/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of the way out: uplinks and masquerading, as every file writes them. */
#include <stdio.h>
#include <string.h>

#include "cni_conf.h"
#include "json.h"
#include "settings.h"
#include "settings_forms.h"

#define AT(name, form, member, help)                                                               \
	{ name, &(form), help, false, offsetof(struct pk_masquerade, member) }

const struct pk_format pk_format_device = {
	.expected = "a network device's name",
	.pattern = "^[^ /:]{1,15}$",
	.fits = cni_ifname_ok,
};
static const struct pk_schema device = { .form = PK_FORM_STRING, .format = &pk_format_device };

static int read_uplinks(const struct pk_schema *form, const struct pk_json_doc *doc,
			const struct pk_json *v, void *at, struct pk_err *err)
{
	struct pk_uplink_names *names = at;

	(void)form, (void)doc, (void)err;
	if (pk_json_type(v) == PK_JSON_NULL)
		return 0;
	*names = (struct pk_uplink_names){ .given = true };
	if (pk_json_string(v))
		strcpy(names->name[names->n++], pk_json_string(v));
	for (const struct pk_json *e = pk_json_first(v); e; e = pk_json_next(e))
		strcpy(names->name[names->n++], pk_json_string(e));
	return 0;
}

static void write_uplinks(const struct pk_schema *form, struct pk_jw *w, const char *key,
			  const void *at)
{
	const struct pk_uplink_names *names = at;

	(void)form;
	if (!names->n) {
		pk_jw_null(w, key);
		return;
	}
	pk_jw_open(w, key, '[');
	for (size_t i = 0; i < names->n; i++)
		pk_jw_string(w, NULL, names->name[i]);
	pk_jw_close(w, ']');
}
static const struct pk_kept kept_uplinks = { read_uplinks, write_uplinks };
static const struct pk_schema devices = {
	.form = PK_FORM_LIST,
	.item = &device,
	.not_empty = true,
	.most = PK_UPLINKS,
};
#define UPLINKS(null_)                                                                             \
	{                                                                                          \
		.form = PK_FORM_EITHER,                                                            \
		.item = &device,                                                                   \
		.other = &devices,                                                                 \
		.null_ok = (null_),                                                                \
		.kept = &kept_uplinks,                                                             \
	}
const struct pk_schema pk_form_uplinks = UPLINKS(false);
const struct pk_schema pk_form_uplinks_or_null = UPLINKS(true);

const struct pk_schema pk_form_vxlan_port = {
	.form = PK_FORM_INT, .lo = 1024, .hi = UINT16_MAX, .kept = &pk_kept_u32
};
const struct pk_schema pk_form_vxlan_vni = {
	.form = PK_FORM_INT, .lo = 1, .hi = 0xffffff, .kept = &pk_kept_u32
};
static const char *const underlay_words[] = { "ipv4", PK_VXLAN_UNDERLAY6, NULL };
static const struct pk_format underlay_format = { .expected = "\"ipv4\" or \"ipv6\"",
						  .words = underlay_words };
const struct pk_schema pk_form_vxlan_underlay = {
	.form = PK_FORM_STRING,
	.format = &underlay_format,
	.not_empty = true,
	.kept = &pk_kept_text,
	.room = sizeof(((struct pk_vxlan *)0)->underlay),
};

const char *pk_masquerade_ports(const struct pk_masquerade *m, char text[16])
{
	snprintf(text, 16, "%u-%u", m->low, m->high);
	return text;
}

/* "10000-19999"; a range of less than 64 ports is a slip of the pen. */
static bool parse_ports(const char *text, uint64_t *low, uint64_t *high)
{
	const char *dash = strchr(text, '-');
	char first[8] = "";

	if (!dash || dash - text >= (ptrdiff_t)sizeof(first))
		return false;
	memcpy(first, text, (size_t)(dash - text));
	return pk_parse_u64(first, UINT16_MAX, low) == 0 &&
	       pk_parse_u64(dash + 1, UINT16_MAX, high) == 0 && *low >= 1024 && *high >= *low + 63;
}

static bool fits_ports(const char *text)
{
	uint64_t low, high;

	return parse_ports(text, &low, &high);
}
static const struct pk_format ports_format = {
	.expected = "64 ports or more, such as \"10000-19999\", 1024 to 65535",
	.pattern = "^[0-9]{4,5}-[0-9]{4,5}$",
	.fits = fits_ports,
};

/* at: the range's two ends, side by side. */
_Static_assert(offsetof(struct pk_masquerade, high) == offsetof(struct pk_masquerade, low) + 2, "");
static int read_ports(const struct pk_schema *form, const struct pk_json_doc *doc,
		      const struct pk_json *v, void *at, struct pk_err *err)
{
	uint16_t *range = at;
	uint64_t low = 0, high = 0;

	(void)form, (void)doc, (void)err;
	parse_ports(pk_json_string(v), &low, &high);
	range[0] = (uint16_t)low;
	range[1] = (uint16_t)high;
	return 0;
}

static void write_ports(const struct pk_schema *form, struct pk_jw *w, const char *key,
			const void *at)
{
	const uint16_t *range = at;
	char text[16];

	(void)form;
	snprintf(text, sizeof(text), "%u-%u", range[0], range[1]);
	pk_jw_string(w, key, text);
}
static const struct pk_kept kept_ports = { read_ports, write_ports };
static const struct pk_schema ports = {
	.form = PK_FORM_STRING,
	.format = &ports_format,
	.kept = &kept_ports,
	.usual = "\"10000-19999\"",
};

static const struct pk_schema family4 = { .form = PK_FORM_BOOL,
					  .kept = &pk_kept_bool,
					  .usual = "true" };
static const struct pk_schema family6 = { .form = PK_FORM_BOOL,
					  .kept = &pk_kept_bool,
					  .usual = "false" };
static const struct pk_schema_key masquerade_keys[] = {
	AT("ipv4", family4, ipv4, "IPv4 leaves with the node's address"),
	AT("ipv6", family6, ipv6, "and IPv6"),
	AT("ports", ports, low, "the node's ports that are used for it, both included"),
	{ .name = NULL },
};
const struct pk_schema pk_form_masquerade_object = { .form = PK_FORM_OBJECT,
						     .keys = masquerade_keys };

static int read_masquerade(const struct pk_schema *form, const struct pk_json_doc *doc,
			   const struct pk_json *v, void *at, struct pk_err *err)
{
	struct pk_masquerade *m = at;

	(void)form;
	if (pk_json_type(v) == PK_JSON_BOOL) {
		m->ipv4 = pk_json_true(v);
		m->ipv6 = false;
		m->given = true;
		return 0;
	}
	m->given |= pk_json_get(v, "ipv4") || pk_json_get(v, "ipv6");
	m->ports_given |= pk_json_get(v, "ports") != NULL;
	return pk_schema_take(&pk_form_masquerade_object, doc, v, m, err);
}

/* The families only where a file said them. */
static void write_masquerade(const struct pk_schema *form, struct pk_jw *w, const char *key,
			     const void *at)
{
	const struct pk_masquerade *m = at;
	char text[16];

	(void)form;
	pk_jw_open(w, key, '{');
	if (m->given) {
		pk_jw_bool(w, "ipv4", m->ipv4);
		pk_jw_bool(w, "ipv6", m->ipv6);
	}
	pk_jw_string(w, "ports", pk_masquerade_ports(m, text));
	pk_jw_close(w, '}');
}
static const struct pk_kept kept_masquerade = { read_masquerade, write_masquerade };
const struct pk_schema pk_form_masquerade = {
	.form = PK_FORM_EITHER,
	.item = &pk_form_bool,
	.other = &pk_form_masquerade_object,
	.kept = &kept_masquerade,
};
