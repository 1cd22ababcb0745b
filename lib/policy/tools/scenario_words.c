/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds what the words of a question name: an endpoint, an address, a port, a protocol, a kind of
 * ICMP.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "icmp.h"
#include "scenario.h"

#define ALLOC_MIN 4 /* characters of an allocation's id that count as one */

static int by_address(const struct pk_scenario *c, const char *text, enum pk_party is,
		      struct pk_peer *out, struct pk_err *err)
{
	const struct pk_world *world = pk_asker_world(c->asker);

	*out = (struct pk_peer){ .party = is };
	if (pk_addr_parse(text, &out->address) < 0)
		return pk_fix(err, pk_fail(err, 0, "\"%s\" is not an address", text),
			      "write it as world:192.0.2.1 or world:2001:db8::1");
	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep))
		for (size_t i = 0; i < ep->n_addresses; i++)
			if (pk_addr_equal(&ep->addresses[i], &out->address)) {
				pk_fail(err, 0, "%s is the address of endpoint \"%s\"", text,
					ep->key);
				return pk_fix(err, -EINVAL, "name the endpoint");
			}
	return 0;
}

static bool is_entity(const char *text)
{
	return strcmp(text, "host") == 0 || strcmp(text, "remote-node") == 0;
}

/*
 * "acme/api/web 7f3a21c4…" by its whole name, whole parts of it from the left, or its alloc;
 * another node's is "acme/api/web NODE/7f3a21c4…".
 */
static bool is_meant(const char *key, const char *text)
{
	const char *space = strrchr(key, ' '), *slash = space ? strrchr(space, '/') : NULL;
	size_t n = strlen(text);

	if (n >= ALLOC_MIN && space && strncmp((slash ?: space) + 1, text, n) == 0)
		return true;
	return n && strncmp(key, text, n) == 0 && strchr(" /", key[n]);
}

/* Returns the endpoint with this very id, which is nobody else's beginning. */
static const struct pk_world_endpoint *by_whole_id(const struct pk_world *world, const char *text)
{
	const size_t n = strlen(text);

	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep)) {
		const char *space = strrchr(ep->key, ' ');

		if (space && strncmp(space + 1, text, n) == 0 && space[1 + n] == '@')
			return ep;
	}
	return NULL;
}

static int ambiguous(const char *a, const char *b, const char *text, struct pk_err *err)
{
	pk_fail(err, 0, "\"%.60s\" may be \"%.70s\" or \"%.70s\", which policy tells apart", text,
		a, b);
	return pk_fix(err, -EINVAL, "give the whole name, or more of the allocation's id");
}

int pk_scenario_find(const struct pk_scenario *c, const char *text,
		     const struct pk_world_endpoint *except, struct pk_peer *out,
		     struct pk_err *err)
{
	const struct pk_engine *engine = pk_asker_engine(c->asker);
	const struct pk_world *world = pk_asker_world(c->asker);
	const struct pk_world_endpoint *found = NULL, *whole;
	struct pk_identity_ref first = { 0 }, other;

	if (is_entity(text))
		return -ENOENT; /* also where a tenant is called so */
	whole = by_whole_id(world, text);
	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep)) {
		if (whole ? ep != whole : !is_meant(ep->key, text))
			continue;
		if (!found) {
			found = ep;
			if (pk_engine_identity(engine, ep->key, &first) < 0)
				return pk_fail(err, ENOENT, "identity of \"%.100s\"", ep->key);
		} else if (pk_engine_identity(engine, ep->key, &other) < 0 ||
			   memcmp(first.hash, other.hash, sizeof(first.hash)) != 0) {
			return ambiguous(found->key, ep->key, text, err);
		} else if (found == except) {
			found = ep;
		}
	}
	*out = (struct pk_peer){ .party = PK_PARTY_ENDPOINT, .endpoint = found };
	return found ? 0 : -ENOENT;
}

int pk_scenario_peer(const struct pk_scenario *c, const char *text, struct pk_peer *out,
		     struct pk_err *err)
{
	int r;

	const struct pk_world_endpoint *ep = pk_world_get(pk_asker_world(c->asker), text);

	*out = (struct pk_peer){ .party = PK_PARTY_ENDPOINT, .endpoint = ep };
	if (ep)
		return 0;
	if (is_entity(text)) {
		out->party = text[0] == 'h' ? PK_PARTY_HOST : PK_PARTY_REMOTE_NODE;
		return 0;
	}
	if (strncmp(text, "world:", 6) == 0)
		return by_address(c, text + 6, PK_PARTY_WORLD, out, err);
	if (strncmp(text, "unknown:", 8) == 0)
		return by_address(c, text + 8, PK_PARTY_UNKNOWN, out, err);
	r = c->live ? pk_scenario_find(c, text, NULL, out, err) : -ENOENT;
	if (r != -ENOENT)
		return r;
	pk_fail(err, 0, "\"%.100s\" is no endpoint", text);
	return pk_fix(err, -ENOENT,
		      "an endpoint's name, host, remote-node, world:ADDRESS or unknown:ADDRESS");
}

static int port_of_label(const char *label, const struct pk_peer *to, bool any, uint8_t *proto,
			 uint16_t *port)
{
	const struct pk_world_endpoint *ep = to->endpoint;

	for (size_t i = 0; ep && i < ep->n_ports; i++) {
		const struct pk_port_label *p = &ep->ports[i];

		if (strcmp(p->name, label) != 0)
			continue;
		if (!any && p->proto != PK_PROTO_ANY && p->proto != *proto)
			continue;
		if (any && p->proto != PK_PROTO_ANY)
			*proto = p->proto;
		*port = p->port;
		return 0;
	}
	return -ENOENT;
}

int pk_scenario_port(const char *text, const struct pk_peer *to, uint8_t *proto, uint16_t *port,
		     struct pk_err *err)
{
	own_mem char *copy = pk_strdup(text);
	char *slash = strrchr(copy, '/');
	uint64_t number;

	*proto = IPPROTO_TCP;
	*port = 0;
	if (slash) {
		*slash = '\0';
		if (pk_protocol_parse(slash + 1, proto) < 0 || *proto == PK_PROTO_ANY)
			return pk_fix(err,
				      pk_fail(err, 0, "port \"%.60s\": \"%.20s\" is no protocol",
					      text, slash + 1),
				      "write it as \"80/tcp\", udp, sctp");
	}
	if (pk_parse_u64(copy, 65535, &number) == 0) {
		*port = (uint16_t)number;
		return 0;
	}
	if (port_of_label(copy, to, !slash, proto, port) == 0)
		return 0;
	/* "gre", "47" would be a port: protocols without ports by name. */
	if (!slash && pk_protocol_parse(copy, proto) == 0 && !pk_protocol_has_ports(*proto))
		return 0;
	pk_fail(err, 0, "port \"%.60s\" is neither a number nor a port label of the destination",
		text);
	return pk_fix(err, -EINVAL, "write it as \"80/tcp\"");
}

int pk_scenario_protocol(const char *text, uint8_t *proto, struct pk_err *err)
{
	uint64_t number;

	if (pk_parse_u64(text, 255, &number) == 0) {
		*proto = (uint8_t)number;
		return 0;
	}
	if (pk_protocol_parse(text, proto) < 0 || *proto == PK_PROTO_ANY)
		return pk_fail(err, 0, "\"%.40s\" is no protocol", text);
	return 0;
}

/* Returns whether it has only IPv6 addresses, and at least one. */
static bool is_v6_only(const struct pk_peer *p)
{
	if (p->party == PK_PARTY_WORLD || p->party == PK_PARTY_UNKNOWN)
		return !pk_addr_is4(&p->address);
	if (p->party != PK_PARTY_ENDPOINT || !p->endpoint->n_addresses)
		return false;
	for (size_t i = 0; i < p->endpoint->n_addresses; i++)
		if (pk_addr_is4(&p->endpoint->addresses[i]))
			return false;
	return true;
}

int pk_scenario_icmp(const char *text, const struct pk_peer *from, const struct pk_peer *to,
		     uint8_t *proto, uint16_t *port, struct pk_err *err)
{
	return pk_scenario_icmp_of(text, is_v6_only(from) || is_v6_only(to), proto, port, err);
}

int pk_scenario_icmp_of(const char *text, bool v6, uint8_t *proto, uint16_t *port,
			struct pk_err *err)
{
	own_mem char *copy = pk_strdup(text);
	char *slash = strchr(copy, '/');
	uint64_t code = 0;
	uint8_t type;

	if (slash) {
		*slash = '\0';
		if (pk_parse_u64(slash + 1, 255, &code) < 0)
			return pk_fix(
				err,
				pk_fail(err, 0, "icmp \"%.60s\": the code is not 0..255", text),
				"a name like echo-request, TYPE or TYPE/CODE");
	}
	if (pk_icmp_type(copy, v6, true, &type) < 0)
		return pk_fix(err,
			      pk_fail(err, 0, "icmp \"%.60s\" is no type of %s", text,
				      v6 ? "ICMPv6" : "ICMP"),
			      "a name like echo-request, TYPE or TYPE/CODE");
	*proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	*port = PK_PORT_ICMP(type, code);
	return 0;
}
