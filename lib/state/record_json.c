/* SPDX-License-Identifier: Apache-2.0 */
/* One table names every key: writer, reader and the check of unknown keys follow it (schema.h). */
#include "record_json.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "own.h"
#include "picket/limits.h"
#include "settings_forms.h"

#define RECORD_VERSION 1
#define PORTS_MAX      4096
#define NEW_FLOWS_IN   "ingressNewFlowsPerSecond"

/* A record keeps these kinds of values, which other files have no need of. */

static int read_text(const struct pk_schema *s, const struct pk_json_doc *doc,
		     const struct pk_json *v, void *at, struct pk_err *err)
{
	char **text = at;

	(void)s, (void)doc, (void)err;
	free(*text);
	*text = pk_strdup(pk_json_string(v));
	return 0;
}

static void write_text(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	(void)s;
	pk_jw_string(w, key, *(char *const *)at);
}
static const struct pk_kept kept_text = { read_text, write_text };

static bool fits_addr(const char *text)
{
	union pk_addr addr;

	return pk_addr_parse(text, &addr) == 0;
}

static int read_addr(const struct pk_schema *s, const struct pk_json_doc *doc,
		     const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)s, (void)doc, (void)err;
	memset(at, 0, sizeof(union pk_addr));
	return pk_json_string(v) ? pk_addr_parse(pk_json_string(v), at) : 0;
}

static void write_addr(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	char text[PK_ADDR_TEXT];

	(void)s;
	pk_jw_string(w, key, pk_addr_is_zero(at) ? NULL : pk_addr_format(at, text));
}
static const struct pk_kept kept_addr = { read_addr, write_addr };
static const struct pk_format addr_format = { .expected = "an address or null", .fits = fits_addr };

static bool fits_mac(const char *text)
{
	uint8_t mac[6];

	return pk_mac_parse(text, mac) == 0;
}

static int read_mac(const struct pk_schema *s, const struct pk_json_doc *doc,
		    const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)s, (void)doc, (void)err;
	return pk_mac_parse(pk_json_string(v), at);
}

static void write_mac(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	char text[PK_MAC_TEXT];

	(void)s;
	pk_jw_string(w, key, pk_mac_format(at, text));
}
static const struct pk_kept kept_mac = { read_mac, write_mac };
static const struct pk_format mac_format = { .expected = "a MAC address", .fits = fits_mac };

/* 64 bits, which a JSON number doesn't hold. */
static bool fits_big(const char *text)
{
	return strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16;
}

static int read_big(const struct pk_schema *s, const struct pk_json_doc *doc,
		    const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)s, (void)doc, (void)err;
	*(uint64_t *)at = strtoull(pk_json_string(v), NULL, 16);
	return 0;
}

static void write_big(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	char text[20];

	(void)s;
	snprintf(text, sizeof(text), "%016" PRIx64, *(const uint64_t *)at);
	pk_jw_string(w, key, text);
}
static const struct pk_kept kept_big = { read_big, write_big };
static const struct pk_format big_format = { .expected = "16 hexadecimal digits",
					     .fits = fits_big };

static int read_limits(const struct pk_schema *s, const struct pk_json_doc *doc,
		       const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)s;
	return pk_limits_read(doc, v, at, err);
}

static void write_limits(const struct pk_schema *s, struct pk_jw *w, const char *key,
			 const void *at)
{
	(void)s;
	pk_limits_write(at, w, key);
}
static const struct pk_kept kept_limits = { read_limits, write_limits };

static int read_u8(const struct pk_schema *s, const struct pk_json_doc *doc,
		   const struct pk_json *v, void *at, struct pk_err *err)
{
	uint32_t n = 0;
	int r = pk_kept_u32.read(s, doc, v, &n, err);

	*(uint8_t *)at = (uint8_t)n;
	return r;
}

static void write_u8(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	(void)s;
	pk_jw_uint(w, key, *(const uint8_t *)at);
}
static const struct pk_kept kept_u8 = { read_u8, write_u8 };

static int read_u16(const struct pk_schema *s, const struct pk_json_doc *doc,
		    const struct pk_json *v, void *at, struct pk_err *err)
{
	uint32_t n = 0;
	int r = pk_kept_u32.read(s, doc, v, &n, err);

	*(uint16_t *)at = (uint16_t)n;
	return r;
}

static void write_u16(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	(void)s;
	pk_jw_uint(w, key, *(const uint16_t *)at);
}
static const struct pk_kept kept_u16 = { read_u16, write_u16 };

#define STRING(format_, null_, kept_)                                                              \
	{                                                                                          \
		.form = PK_FORM_STRING,                                                            \
		.format = (format_),                                                               \
		.null_ok = (null_),                                                                \
		.kept = (kept_),                                                                   \
	}
#define COUNT(least, most_, kept_)                                                                 \
	{                                                                                          \
		.form = PK_FORM_INT,                                                               \
		.lo = (least),                                                                     \
		.hi = (most_),                                                                     \
		.kept = (kept_),                                                                   \
	}
static const struct pk_schema text = STRING(NULL, false, &kept_text);
static const struct pk_schema text_or_null = STRING(NULL, true, &kept_text);
static const struct pk_schema addr = STRING(&addr_format, true, &kept_addr);
static const struct pk_schema mac = STRING(&mac_format, false, &kept_mac);
static const struct pk_schema big = STRING(&big_format, false, &kept_big);
static const struct pk_schema number = COUNT(0, UINT32_MAX, &pk_kept_u32);
static const struct pk_schema prefix_len = COUNT(0, 32, &kept_u8);
static const struct pk_schema protocol = COUNT(0, UINT8_MAX, &kept_u8);
static const struct pk_schema port_number = COUNT(0, UINT16_MAX, &kept_u16);
static const struct pk_schema limits = { .form = PK_FORM_OBJECT, .kept = &kept_limits };

#define PORT(name, form, member)                                                                   \
	{ name, &(form), NULL, true, offsetof(struct pk_record_port, member) }
static const struct pk_schema_key port_keys[] = {
	PORT("protocol", protocol, proto),
	PORT("host", port_number, host),
	PORT("container", port_number, container),
	PORT("address", addr, host_addr),
	{ .name = NULL },
};
static const struct pk_schema port = { .form = PK_FORM_OBJECT, .keys = port_keys };

/*
 * Returns whether the guard can translate what the port is published by: an earlier release's ADD
 * took SCTP, too, whose checksum knows its ports.
 */
static bool is_translated(const struct pk_record_port *of)
{
	return of->proto == IPPROTO_TCP || of->proto == IPPROTO_UDP;
}

static int read_ports(const struct pk_schema *s, const struct pk_json_doc *doc,
		      const struct pk_json *list, void *at, struct pk_err *err)
{
	struct pk_record *record = at;

	(void)s;
	free(record->ports);
	record->ports = pk_alloc((pk_json_count(list) + 1) * sizeof(*record->ports));
	record->n_ports = record->n_untranslated = 0;
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		int r = pk_schema_take(&port, doc, v, &record->ports[record->n_ports], err);

		if (r < 0)
			return r;
		if (is_translated(&record->ports[record->n_ports]))
			record->n_ports++;
		else
			record->n_untranslated++;
	}
	return 0;
}

static void write_ports(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	const struct pk_record *record = at;
	const struct pk_schema_key element = { NULL, &port, NULL, false, 0 };

	(void)s;
	pk_jw_open(w, key, '[');
	for (size_t i = 0; i < record->n_ports; i++)
		pk_schema_write_member(&element, w, NULL, &record->ports[i]);
	pk_jw_close(w, ']');
}
static const struct pk_kept kept_ports = { read_ports, write_ports };
static const struct pk_schema ports = {
	.form = PK_FORM_LIST, .item = &port, .most = PORTS_MAX, .kept = &kept_ports
};

/*
 * `version` is read before all other keys, since another release has other keys. LATER marks a key
 * that the first release didn't write: absent it is zero.
 */
#define MUST(name, form, member)  { name, &(form), NULL, true, offsetof(struct pk_record, member) }
#define LATER(name, form, member) { name, &(form), NULL, false, offsetof(struct pk_record, member) }
static const struct pk_schema_key keys[] = {
	{ "version", &pk_form_any, NULL, true, 0 },
	MUST("containerId", text, container_id),
	MUST("ifname", text, ifname),
	MUST("slot", number, slot),
	MUST("network", text_or_null, network),
	MUST("netns", text_or_null, netns),
	MUST("netnsInode", big, netns_inode),
	MUST("epochHigh", big, epoch[0]),
	MUST("epochLow", big, epoch[1]),
	MUST("labels", text_or_null, labels),
	MUST("namespace", text_or_null, tenant_name),
	MUST("job", text_or_null, job),
	MUST("group", text_or_null, group),
	MUST("believed", pk_form_bool, believed),
	MUST("quarantined", pk_form_bool, quarantined),
	LATER("unproven", pk_form_bool, unproven),
	LATER("declared", text_or_null, declared),
	MUST("tenant", number, tenant),
	MUST("identity", number, identity),
	MUST("ipv4", addr, ipv4),
	MUST("ipv6", addr, ipv6),
	MUST("gateway4", addr, gateway4),
	MUST("mac", mac, mac),
	MUST("hostMac", mac, host_mac),
	MUST("mtu", number, mtu),
	MUST("hostIfindex", number, host_ifindex),
	MUST("ethIfindex", number, eth_ifindex),
	MUST("tapIfindex", number, tap_ifindex),
	MUST("process", pk_form_bool, process),
	MUST("tcx", pk_form_bool, tcx),
	MUST("masquerade", pk_form_bool, masquerade),
	LATER("masquerade6", pk_form_bool, masquerade6),
	MUST("tap", text_or_null, tap),
	LATER("hostTap", pk_form_bool, host_tap),
	MUST("tapOwner", number, tap_owner),
	MUST("tapGroup", number, tap_group),
	MUST("queues", number, queues),
	MUST("egressBytesPerSecond", number, limits.of[PK_LIMIT_BYTES + PK_EGRESS]),
	MUST("ingressBytesPerSecond", number, limits.of[PK_LIMIT_BYTES + PK_INGRESS]),
	MUST("egressPacketsPerSecond", number, limits.of[PK_LIMIT_PACKETS + PK_EGRESS]),
	MUST("ingressPacketsPerSecond", number, limits.of[PK_LIMIT_PACKETS + PK_INGRESS]),
	MUST("newFlowsPerSecond", number, limits.of[PK_LIMIT_NEW_FLOWS + PK_EGRESS]),
	LATER(NEW_FLOWS_IN, number, limits.of[PK_LIMIT_NEW_FLOWS + PK_INGRESS]),
	MUST("flowBudget", number, limits.of[PK_LIMIT_FLOWS]),
	LATER("jobLimits", limits, job_limits),
	LATER("egressBandwidth", number, bandwidth.of[PK_LIMIT_BYTES + PK_EGRESS]),
	LATER("ingressBandwidth", number, bandwidth.of[PK_LIMIT_BYTES + PK_INGRESS]),
	LATER("egressBurst", number, burst[PK_EGRESS]),
	LATER("ingressBurst", number, burst[PK_INGRESS]),
	MUST("dns4a", addr, dns4[0]),
	MUST("dns4b", addr, dns4[1]),
	MUST("dns6a", addr, dns6[0]),
	MUST("dns6b", addr, dns6[1]),
	LATER("dns4c", addr, dns4[2]),
	LATER("dns6c", addr, dns6[2]),
	LATER("search", text_or_null, search),
	LATER("dnsOfNode", pk_form_bool, dns_of_node),
	LATER("searchOfNode", pk_form_bool, search_of_node),
	MUST("cniVersion", text_or_null, version),
	MUST("result", text_or_null, result),
	MUST("created", text_or_null, created),
	MUST("ipv4Prefix", prefix_len, ipv4_prefix),
	{ "ports", &ports, NULL, true, 0 },
	{ .name = NULL },
};
static const struct pk_schema record_form = { .form = PK_FORM_OBJECT, .keys = keys };

void pk_record_encode(const struct pk_record *record, struct pk_str *out)
{
	struct pk_jw w = { .out = out, .indent = 1 };

	pk_jw_open(&w, NULL, '{');
	pk_jw_uint(&w, "version", RECORD_VERSION);
	for (const struct pk_schema_key *k = keys; k->name; k++)
		pk_schema_write_member(k, &w, k->name, record);
	pk_jw_close(&w, '}');
	pk_str_add(out, "\n");
}

/* A record of before has one word for both directions. */
static void read_new_flows(const struct pk_json_doc *doc, struct pk_record *record)
{
	uint32_t *of = &record->limits.of[PK_LIMIT_NEW_FLOWS];

	if (!pk_json_get(pk_json_root(doc), NEW_FLOWS_IN))
		of[PK_INGRESS] = of[PK_EGRESS];
}

static int check_version(const struct pk_json_doc *doc, struct pk_err *err)
{
	const struct pk_json_range any = { 0, UINT32_MAX };
	int64_t version = RECORD_VERSION;
	int r = pk_json_get_int(doc, pk_json_root(doc), "version", any, &version, err);

	if (r == 0 && version != RECORD_VERSION)
		r = pk_fail(err, 0, "version %" PRIi64 " is not this release's", version);
	return r;
}

int pk_record_decode(const char *name, const char *text_, size_t len, struct pk_record *record,
		     struct pk_err *err)
{
	own_json *doc = NULL;
	own_record read = { 0 };
	int r = pk_json_parse(name, text_, len, PK_JSON_NEWER, &doc, err);

	if (r == 0)
		r = check_version(doc, err);
	if (r == 0)
		r = pk_schema_read(&record_form, doc, pk_json_root(doc), &read, err);
	if (r == 0) {
		read_new_flows(doc, &read);
		*record = PK_MOVE(read, (struct pk_record){ 0 });
	}
	return r;
}
