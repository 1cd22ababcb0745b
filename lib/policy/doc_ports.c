/* SPDX-License-Identifier: Apache-2.0 */
/* toPorts and icmps. */
#include <netinet/in.h>
#include <string.h>

#include "doc_read.h"
#include "icmp.h"
#include "own.h"

/* Returns the number of a WORD, -1 for a name. The check has seen its range. */
static int64_t number_of(const struct pk_json *v)
{
	const char *text = pk_json_string(v);
	uint64_t from_text;
	int64_t n = -1;

	if (!text)
		return pk_json_int(v, 0, 65535, &n) == 0 ? n : -1;
	return pk_parse_u64(text, 65535, &from_text) == 0 ? (int64_t)from_text : -1;
}

static void read_protocol(const struct pk_json *v, struct pk_port_rule *out, bool *has_ports)
{
	int64_t number = v ? number_of(v) : -1;

	out->proto = PK_PROTO_ANY;
	if (number >= 0)
		out->proto = (uint8_t)number;
	else if (v)
		pk_protocol_parse(pk_json_string(v), &out->proto);
	*has_ports = number < 0 && pk_protocol_has_ports(out->proto);
}

static void read_end(struct pk_reader *r, const struct pk_json *v, struct pk_port_rule *out)
{
	int64_t end;

	if (out->label || out->port == 0) {
		pk_read_error(r, v, true, NULL, "endPort goes with a port number only");
		return;
	}
	if (pk_json_int(v, out->port, 65535, &end) < 0)
		pk_read_error(r, v, false, NULL, "the range ends before it begins (%u)", out->port);
	else
		out->end = (uint16_t)end;
}

/* Returns the fix for a port that is given with a protocol that has none. */
static const char *ports_fix(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "write the protocol as \"TCP\"";
	case IPPROTO_UDP:
		return "write the protocol as \"UDP\"";
	case IPPROTO_SCTP:
		return "write the protocol as \"SCTP\"";
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return "types of ICMP go under \"icmps\"";
	default:
		return "remove it";
	}
}

static void read_port(struct pk_reader *r, const struct pk_json *v, struct pk_port_rule *out)
{
	const struct pk_json *port = pk_json_get(v, "port"), *end = pk_json_get(v, "endPort");
	const struct pk_json *protocol = pk_json_get(v, "protocol");
	int64_t number = port ? number_of(port) : 0;
	bool has_ports;

	read_protocol(protocol, out, &has_ports);
	if (number < 0)
		out->label = pk_read_text(pk_json_string(port));
	out->port = number > 0 ? (uint16_t)number : 0;
	out->end = number > 0 ? (uint16_t)number : 65535;
	if (!has_ports && number != 0) {
		pk_read_error(r, port, true, ports_fix(out->proto),
			      "this protocol has no ports here: TCP, UDP, SCTP and ANY have");
		return;
	}
	if (end)
		read_end(r, end, out);
}

static void read_icmp(struct pk_reader *r, const struct pk_json *v, struct pk_port_rule *out)
{
	const char *family = pk_json_string(pk_json_get(v, "family"));
	const struct pk_json *type = pk_json_get(v, "type"), *code = pk_json_get(v, "code");
	const char *name = pk_json_string(type);
	int64_t n = -1;

	out->icmp = true;
	out->v6 = family && strcmp(family, "IPv6") == 0;
	out->proto = out->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	if (!name)
		out->type = (uint8_t)number_of(type);
	else if (pk_icmp_type(name, out->v6, false, &out->type) < 0)
		pk_read_error(r, type, false,
			      out->v6 ? "it is one of IPv4: say \"family\": \"IPv4\""
				      : "it is one of IPv6: say \"family\": \"IPv6\"",
			      "found \"%s\", expected a type of ICMP%s", name, out->v6 ? "v6" : "");
	out->code = -1;
	if (code && pk_json_int(code, 0, 255, &n) == 0)
		out->code = (int16_t)n;
}

static size_t count_inner(const struct pk_json *list, const char *key)
{
	size_t n = 0;

	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v))
		n += pk_json_count(pk_json_get(v, key));
	return n;
}

void pk_read_ports(struct pk_reader *r, const struct pk_json *entry, struct pk_entry *out)
{
	const struct pk_json *to_ports = pk_json_get(entry, "toPorts");
	const struct pk_json *icmps = pk_json_get(entry, "icmps");
	const struct pk_json *list = to_ports ? to_ports : icmps;
	const char *key = to_ports ? "ports" : "fields";

	if (!list)
		return;
	out->has_ports = true;
	out->ports = pk_read_array(count_inner(list, key), sizeof(*out->ports));
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		const struct pk_json *inner = pk_json_first(pk_json_get(v, key));

		for (; inner; inner = pk_json_next(inner)) {
			struct pk_port_rule *port = &out->ports[out->n_ports++];

			if (to_ports)
				read_port(r, inner, port);
			else
				read_icmp(r, inner, port);
		}
	}
}
