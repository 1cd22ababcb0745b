/* SPDX-License-Identifier: Apache-2.0 */
/* One table names every plain key: writer, reader and the check of unknown keys follow it. */
#include "record_json.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "picket/limits.h"

#define RECORD_VERSION 1
#define PORTS_MAX      4096

enum kind { TEXT, NUMBER, FLAG, ADDR, MAC, BIG, LIMITS };

enum must {
	MAY, /* of a TEXT: may be null */
	MUST,
	LATER, /* the first release did not write it: absent is zero */
};

#define FIELD(key, kind, member, must) { key, kind, offsetof(struct pk_record, member), must }
static const struct field {
	const char *key;
	enum kind kind;
	size_t at;
	enum must must;
} fields[] = {
	FIELD("containerId", TEXT, container_id, MUST),
	FIELD("ifname", TEXT, ifname, MUST),
	FIELD("slot", NUMBER, slot, MUST),
	FIELD("network", TEXT, network, MAY),
	FIELD("netns", TEXT, netns, MAY),
	FIELD("netnsInode", BIG, netns_inode, MUST),
	FIELD("epochHigh", BIG, epoch[0], MUST),
	FIELD("epochLow", BIG, epoch[1], MUST),
	FIELD("labels", TEXT, labels, MAY),
	FIELD("namespace", TEXT, tenant_name, MAY),
	FIELD("job", TEXT, job, MAY),
	FIELD("group", TEXT, group, MAY),
	FIELD("believed", FLAG, believed, MUST),
	FIELD("quarantined", FLAG, quarantined, MUST),
	FIELD("unproven", FLAG, unproven, LATER),
	FIELD("tenant", NUMBER, tenant, MUST),
	FIELD("identity", NUMBER, identity, MUST),
	FIELD("ipv4", ADDR, ipv4, MUST),
	FIELD("ipv6", ADDR, ipv6, MUST),
	FIELD("gateway4", ADDR, gateway4, MUST),
	FIELD("mac", MAC, mac, MUST),
	FIELD("hostMac", MAC, host_mac, MUST),
	FIELD("mtu", NUMBER, mtu, MUST),
	FIELD("hostIfindex", NUMBER, host_ifindex, MUST),
	FIELD("ethIfindex", NUMBER, eth_ifindex, MUST),
	FIELD("tapIfindex", NUMBER, tap_ifindex, MUST),
	FIELD("process", FLAG, process, MUST),
	FIELD("tcx", FLAG, tcx, MUST),
	FIELD("masquerade", FLAG, masquerade, MUST),
	FIELD("masquerade6", FLAG, masquerade6, LATER),
	FIELD("tap", TEXT, tap, MAY),
	FIELD("hostTap", FLAG, host_tap, LATER),
	FIELD("tapOwner", NUMBER, tap_owner, MUST),
	FIELD("tapGroup", NUMBER, tap_group, MUST),
	FIELD("queues", NUMBER, queues, MUST),
	FIELD("egressBytesPerSecond", NUMBER, limits.of[PK_LIMIT_BYTES + PK_EGRESS], MUST),
	FIELD("ingressBytesPerSecond", NUMBER, limits.of[PK_LIMIT_BYTES + PK_INGRESS], MUST),
	FIELD("egressPacketsPerSecond", NUMBER, limits.of[PK_LIMIT_PACKETS + PK_EGRESS], MUST),
	FIELD("ingressPacketsPerSecond", NUMBER, limits.of[PK_LIMIT_PACKETS + PK_INGRESS], MUST),
	FIELD("newFlowsPerSecond", NUMBER, limits.of[PK_LIMIT_NEW_FLOWS], MUST),
	FIELD("flowBudget", NUMBER, limits.of[PK_LIMIT_FLOWS], MUST),
	FIELD("jobLimits", LIMITS, job_limits, LATER),
	FIELD("egressBandwidth", NUMBER, bandwidth.of[PK_LIMIT_BYTES + PK_EGRESS], LATER),
	FIELD("ingressBandwidth", NUMBER, bandwidth.of[PK_LIMIT_BYTES + PK_INGRESS], LATER),
	FIELD("egressBurst", NUMBER, burst[PK_EGRESS], LATER),
	FIELD("ingressBurst", NUMBER, burst[PK_INGRESS], LATER),
	FIELD("dns4a", ADDR, dns4[0], MUST),
	FIELD("dns4b", ADDR, dns4[1], MUST),
	FIELD("dns6a", ADDR, dns6[0], MUST),
	FIELD("dns6b", ADDR, dns6[1], MUST),
	FIELD("dns4c", ADDR, dns4[2], LATER),
	FIELD("dns6c", ADDR, dns6[2], LATER),
	FIELD("search", TEXT, search, LATER),
	FIELD("dnsOfNode", FLAG, dns_of_node, LATER),
	FIELD("searchOfNode", FLAG, search_of_node, LATER),
	FIELD("cniVersion", TEXT, version, MAY),
	FIELD("result", TEXT, result, MAY),
	FIELD("created", TEXT, created, MAY),
};

static void write_big(struct pk_jw *w, const char *key, uint64_t value)
{
	char text[20];

	snprintf(text, sizeof(text), "%016" PRIx64, value);
	pk_jw_string(w, key, text);
}

static void write_addr(struct pk_jw *w, const char *key, const union pk_addr *addr)
{
	char text[PK_ADDR_TEXT];

	pk_jw_string(w, key, pk_addr_is_zero(addr) ? NULL : pk_addr_format(addr, text));
}

static void write_field(struct pk_jw *w, const struct field *f, const struct pk_record *record)
{
	const void *at = (const char *)record + f->at;
	char mac[PK_MAC_TEXT];

	switch (f->kind) {
	case TEXT:
		pk_jw_string(w, f->key, *(char *const *)at);
		break;
	case NUMBER:
		pk_jw_uint(w, f->key, *(const uint32_t *)at);
		break;
	case FLAG:
		pk_jw_bool(w, f->key, *(const bool *)at);
		break;
	case ADDR:
		write_addr(w, f->key, at);
		break;
	case MAC:
		pk_jw_string(w, f->key, pk_mac_format(at, mac));
		break;
	case BIG:
		write_big(w, f->key, *(const uint64_t *)at);
		break;
	case LIMITS:
		pk_limits_write(at, w, f->key);
		break;
	}
}

static void write_ports(struct pk_jw *w, const struct pk_record *record)
{
	pk_jw_open(w, "ports", '[');
	for (size_t i = 0; i < record->n_ports; i++) {
		const struct pk_record_port *p = &record->ports[i];

		pk_jw_open(w, NULL, '{');
		pk_jw_uint(w, "protocol", p->proto);
		pk_jw_uint(w, "host", p->host);
		pk_jw_uint(w, "container", p->container);
		write_addr(w, "address", &p->host_addr);
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
}

void pk_record_encode(const struct pk_record *record, struct pk_str *out)
{
	struct pk_jw w = { .out = out, .indent = 1 };

	pk_jw_open(&w, NULL, '{');
	pk_jw_uint(&w, "version", RECORD_VERSION);
	for (size_t i = 0; i < PK_ARRAY_LEN(fields); i++)
		write_field(&w, &fields[i], record);
	pk_jw_uint(&w, "ipv4Prefix", record->ipv4_prefix);
	write_ports(&w, record);
	pk_jw_close(&w, '}');
	pk_str_add(out, "\n");
}

struct reader {
	const struct pk_json_doc *doc;
	struct pk_err *err;
};

static int read_text(const struct reader *rd, const struct pk_json *v, bool must, char **out)
{
	const char *text = pk_json_string(v);

	if (!text && (must || pk_json_type(v) != PK_JSON_NULL))
		return pk_json_fail(rd->err, rd->doc, v, false, "expected a string");
	*out = text ? strdup(text) : NULL;
	if (text && !*out)
		abort();
	return 0;
}

static int read_number(const struct reader *rd, const struct pk_json *v, int64_t most,
		       uint32_t *out)
{
	int64_t n;

	if (pk_json_int(v, 0, most, &n) < 0)
		return pk_json_fail(rd->err, rd->doc, v, false,
				    "expected a whole number up to %" PRIi64, most);
	*out = (uint32_t)n;
	return 0;
}

static int read_flag(const struct reader *rd, const struct pk_json *v, bool *out)
{
	if (pk_json_type(v) != PK_JSON_BOOL)
		return pk_json_fail(rd->err, rd->doc, v, false, "expected true or false");
	*out = pk_json_true(v);
	return 0;
}

static int read_addr(const struct reader *rd, const struct pk_json *v, union pk_addr *out)
{
	const char *text = pk_json_string(v);

	memset(out, 0, sizeof(*out));
	if (pk_json_type(v) == PK_JSON_NULL)
		return 0;
	if (!text || pk_addr_parse(text, out) < 0)
		return pk_json_fail(rd->err, rd->doc, v, false, "expected an address or null");
	return 0;
}

static int read_big(const struct reader *rd, const struct pk_json *v, uint64_t *out)
{
	const char *text = pk_json_string(v);

	if (!text || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return pk_json_fail(rd->err, rd->doc, v, false, "expected 16 hexadecimal digits");
	*out = strtoull(text, NULL, 16);
	return 0;
}

static int read_field(const struct reader *rd, const struct field *f, const struct pk_json *v,
		      struct pk_record *record)
{
	void *at = (char *)record + f->at;

	switch (f->kind) {
	case TEXT:
		return read_text(rd, v, f->must == MUST, at);
	case NUMBER:
		return read_number(rd, v, UINT32_MAX, at);
	case FLAG:
		return read_flag(rd, v, at);
	case ADDR:
		return read_addr(rd, v, at);
	case BIG:
		return read_big(rd, v, at);
	case LIMITS:
		return pk_limits_read(rd->doc, v, at, rd->err);
	case MAC:
		break;
	}
	if (!pk_json_string(v) || pk_mac_parse(pk_json_string(v), at) < 0)
		return pk_json_fail(rd->err, rd->doc, v, false, "expected a MAC address");
	return 0;
}

static int read_port(const struct reader *rd, const struct pk_json *v, struct pk_record_port *port)
{
	static const char *const keys[] = { "protocol", "host", "container", "address", NULL };
	uint32_t n[3] = { 0 };
	int r = pk_json_type(v) == PK_JSON_OBJECT ? pk_json_only(rd->doc, v, keys, rd->err)
						  : -EINVAL;

	for (int i = 0; i < 4 && r == 0; i++) {
		const struct pk_json *m = pk_json_get(v, keys[i]);

		if (!m)
			return pk_json_fail(rd->err, rd->doc, v, false, "lacks %s", keys[i]);
		if (i < 3)
			r = read_number(rd, m, i ? UINT16_MAX : UINT8_MAX, &n[i]);
		else
			r = read_addr(rd, m, &port->host_addr);
	}
	if (r < 0)
		return r;
	port->proto = (uint8_t)n[0];
	port->host = (uint16_t)n[1];
	port->container = (uint16_t)n[2];
	return 0;
}

static int read_ports(const struct reader *rd, const struct pk_json *list, struct pk_record *record)
{
	size_t n = pk_json_type(list) == PK_JSON_ARRAY ? pk_json_count(list) : PORTS_MAX + 1;

	if (n > PORTS_MAX)
		return pk_json_fail(rd->err, rd->doc, list, false, "expected a list of ports");
	record->ports = pk_alloc((n + 1) * sizeof(*record->ports));
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		int r = read_port(rd, v, &record->ports[record->n_ports]);

		if (r < 0)
			return r;
		record->n_ports++;
	}
	return 0;
}

static int check_keys(const struct reader *rd, const struct pk_json *root)
{
	const char *keys[PK_ARRAY_LEN(fields) + 4] = { "version", "ipv4Prefix", "ports" };

	for (size_t i = 0; i < PK_ARRAY_LEN(fields); i++)
		keys[i + 3] = fields[i].key;
	for (size_t i = 0; i < PK_ARRAY_LEN(fields) + 3; i++)
		if (!pk_json_get(root, keys[i]) && !(i >= 3 && fields[i - 3].must == LATER))
			return pk_json_fail(rd->err, rd->doc, root, false, "lacks %s", keys[i]);
	return pk_json_only(rd->doc, root, keys, rd->err);
}

static int read_all(const struct reader *rd, const struct pk_json *root, struct pk_record *record)
{
	const struct pk_json *v = pk_json_get(root, "version");
	uint32_t version = 0, prefix = 0;
	int r = v ? read_number(rd, v, UINT32_MAX, &version)
		  : pk_json_fail(rd->err, rd->doc, root, false, "lacks version");

	/* Before its keys, which another release has others of. */
	if (r == 0 && version != RECORD_VERSION)
		r = pk_fail(rd->err, 0, "version %u is not this release's", version);
	if (r == 0)
		r = check_keys(rd, root);
	for (size_t i = 0; i < PK_ARRAY_LEN(fields) && r == 0; i++)
		if (pk_json_get(root, fields[i].key))
			r = read_field(rd, &fields[i], pk_json_get(root, fields[i].key), record);
	if (r == 0)
		r = read_number(rd, pk_json_get(root, "ipv4Prefix"), 32, &prefix);
	if (r == 0)
		r = read_ports(rd, pk_json_get(root, "ports"), record);
	if (r == 0)
		record->ipv4_prefix = (uint8_t)prefix;
	return r;
}

int pk_record_decode(const char *name, const char *text, size_t len, struct pk_record *record,
		     struct pk_err *err)
{
	own_json *doc = NULL;
	own_record read = { 0 };
	struct reader rd = { .err = err };
	int r = pk_json_parse(name, text, len, PK_JSON_NEWER, &doc, err);

	if (r < 0)
		return r;
	rd.doc = doc;
	if (pk_json_type(pk_json_root(doc)) != PK_JSON_OBJECT)
		return pk_json_fail(err, doc, pk_json_root(doc), false, "expected an object");
	r = read_all(&rd, pk_json_root(doc), &read);
	if (r == 0)
		*record = PK_MOVE(read, (struct pk_record){ 0 });
	return r;
}
