/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario_private.h"

#include <errno.h>
#include <string.h>

#include "icmp.h"

struct reader {
	const struct pk_json_doc *json;
	struct pk_world_endpoint *ep;
	struct pk_err *err;
};

static int wrong(const struct reader *r, const struct pk_json *v, const char *expected)
{
	return pk_json_fail(r->err, r->json, v, false, "%s found, expected %s",
			    pk_json_type_name(pk_json_type(v)), expected);
}

/* Finds the member, a container of the given type; absent it is NULL. */
static int member(const struct reader *r, const struct pk_json *object, const char *key,
		  enum pk_json_type type, const struct pk_json **out)
{
	*out = pk_json_get(object, key);
	if (*out && pk_json_type(*out) != type)
		return wrong(r, *out, type == PK_JSON_ARRAY ? "an array" : "an object");
	return 0;
}

static int read_label(const struct reader *r, const struct pk_json *v)
{
	const char *key = pk_json_key(v);
	own_mem char *canonical = NULL;
	struct pk_err why = { 0 };

	if (pk_doc_label_key(key, &canonical, &why) < 0) {
		pk_json_fail(r->err, r->json, v, true, "%s", why.text);
		return why.fix[0] ? pk_fix(r->err, -EINVAL, "%s", why.fix) : -EINVAL;
	}
	if (pk_json_string(v)) {
		pk_label_set_add(r->ep->labels, canonical, pk_json_string(v));
		return 0;
	}
	if (pk_json_type(v) != PK_JSON_ARRAY)
		return wrong(r, v, "a string or an array of strings");
	for (const struct pk_json *e = pk_json_first(v); e; e = pk_json_next(e)) {
		if (!pk_json_string(e))
			return wrong(r, e, "a string");
		pk_label_set_add(r->ep->labels, canonical, pk_json_string(e));
	}
	return 0;
}

static int read_labels(const struct reader *r, const struct pk_json *object)
{
	const struct pk_json *labels;
	int ret = member(r, object, "labels", PK_JSON_OBJECT, &labels);

	for (const struct pk_json *v = labels && ret == 0 ? pk_json_first(labels) : NULL;
	     v && ret == 0; v = pk_json_next(v))
		ret = read_label(r, v);
	return ret;
}

/* Reads what is unknown: a label, "source:*", "*", or ports ("port:http", "port:*", "ports"). */
static int read_unknown(const struct reader *r, const struct pk_json *v)
{
	const char *name = pk_json_string(v);
	own_mem char *canonical = NULL;
	struct pk_err why = { 0 };

	if (!name || !*name)
		return wrong(r, v, "the name of a label");
	if (strcmp(name, "ports") == 0)
		name = "port:*";
	if (name[strlen(name) - 1] == '*' || strncmp(name, "port:", 5) == 0) {
		pk_label_set_add_unknown(r->ep->labels, name);
		return 0;
	}
	if (pk_doc_label_key(name, &canonical, &why) < 0)
		return pk_json_fail(r->err, r->json, v, false, "%s", why.text);
	pk_label_set_add_unknown(r->ep->labels, canonical);
	return 0;
}

static int read_unknowns(const struct reader *r, const struct pk_json *object)
{
	const struct pk_json *list;
	int ret = member(r, object, "unknown", PK_JSON_ARRAY, &list);

	for (const struct pk_json *v = list && ret == 0 ? pk_json_first(list) : NULL; v && ret == 0;
	     v = pk_json_next(v))
		ret = read_unknown(r, v);
	return ret;
}

static int read_address(const struct reader *r, const struct pk_json *v, union pk_addr *out)
{
	const char *text = pk_json_string(v);

	if (!text)
		return wrong(r, v, "an address");
	if (pk_addr_parse(text, out) < 0)
		return pk_json_fail(r->err, r->json, v, false, "\"%s\" is not an address", text);
	return 0;
}

static int read_addresses(const struct reader *r, const struct pk_json *object)
{
	const struct pk_json *list;
	union pk_addr addr;
	int ret = member(r, object, "addresses", PK_JSON_ARRAY, &list);

	for (const struct pk_json *v = list && ret == 0 ? pk_json_first(list) : NULL; v && ret == 0;
	     v = pk_json_next(v)) {
		ret = read_address(r, v, &addr);
		if (ret == 0)
			pk_world_endpoint_add_address(r->ep, &addr);
	}
	return ret;
}

/* Reads "80/tcp", or "53" for any protocol with ports; a number is as the latter. */
static int parse_port(const char *text, uint8_t *proto, uint16_t *port)
{
	char digits[8];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t number;

	*proto = PK_PROTO_ANY;
	if (n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, n);
	digits[n] = '\0';
	if (pk_parse_u64(digits, 65535, &number) < 0 || number == 0)
		return -EINVAL;
	if (slash && (pk_protocol_parse(slash + 1, proto) < 0 || !pk_protocol_has_ports(*proto)))
		return -EINVAL;
	*port = (uint16_t)number;
	return 0;
}

static int read_port(const struct reader *r, const struct pk_json *v, uint8_t *proto,
		     uint16_t *port)
{
	int64_t number;

	*proto = PK_PROTO_ANY;
	if (pk_json_int(v, 1, 65535, &number) == 0) {
		*port = (uint16_t)number;
		return 0;
	}
	if (pk_json_string(v) && parse_port(pk_json_string(v), proto, port) == 0)
		return 0;
	return pk_json_fail(r->err, r->json, v, false, "expected a port like \"80/tcp\" or \"53\"");
}

static int read_ports(const struct reader *r, const struct pk_json *object)
{
	const struct pk_json *ports;
	int ret = member(r, object, "ports", PK_JSON_OBJECT, &ports);

	for (const struct pk_json *v = ports && ret == 0 ? pk_json_first(ports) : NULL;
	     v && ret == 0; v = pk_json_next(v)) {
		uint8_t proto = 0;
		uint16_t port = 0;

		ret = read_port(r, v, &proto, &port);
		if (ret == 0)
			pk_world_endpoint_add_port(r->ep, pk_json_key(v), proto, port);
	}
	return ret;
}

typedef void (*open_fn)(struct pk_world_endpoint *ep, uint8_t proto, uint16_t port);

/* Reads a port of the endpoint's own, or the label of one. */
static int read_open(const struct reader *r, const struct pk_json *v, open_fn add)
{
	const char *text = pk_json_string(v);
	bool found = false;
	uint8_t proto;
	uint16_t port;

	for (size_t i = 0; text && i < r->ep->n_ports; i++) {
		if (strcmp(r->ep->ports[i].name, text) != 0)
			continue;
		add(r->ep, r->ep->ports[i].proto, r->ep->ports[i].port);
		found = true;
	}
	if (found)
		return 0;
	if (text && parse_port(text, &proto, &port) < 0)
		return pk_json_fail(r->err, r->json, v, false,
				    "\"%s\" is no port label of this endpoint", text);
	if (read_port(r, v, &proto, &port) < 0)
		return -EINVAL;
	add(r->ep, proto, port);
	return 0;
}

static int read_opens(const struct reader *r, const struct pk_json *object, const char *key,
		      open_fn add)
{
	const struct pk_json *list;
	int ret = member(r, object, key, PK_JSON_ARRAY, &list);

	for (const struct pk_json *v = list && ret == 0 ? pk_json_first(list) : NULL; v && ret == 0;
	     v = pk_json_next(v))
		ret = read_open(r, v, add);
	return ret;
}

static int read_name(const struct reader *r, const struct pk_json *name)
{
	char text[256];
	size_t n = strlen(pk_json_key(name));
	union pk_addr addr;

	if (n && pk_json_key(name)[n - 1] == '.')
		n--;
	if (n == 0 || n >= sizeof(text))
		return pk_json_fail(r->err, r->json, name, true, "not a name");
	memcpy(text, pk_json_key(name), n);
	text[n] = '\0';
	if (pk_json_type(name) != PK_JSON_ARRAY)
		return wrong(r, name, "an array of addresses");
	for (const struct pk_json *v = pk_json_first(name); v; v = pk_json_next(v)) {
		if (read_address(r, v, &addr) < 0)
			return -EINVAL;
		pk_world_endpoint_add_name(r->ep, text, &addr);
	}
	return 0;
}

static int read_names(const struct reader *r, const struct pk_json *object)
{
	const struct pk_json *names;
	int ret = member(r, object, "names", PK_JSON_OBJECT, &names);

	for (const struct pk_json *v = names && ret == 0 ? pk_json_first(names) : NULL;
	     v && ret == 0; v = pk_json_next(v))
		ret = read_name(r, v);
	return ret;
}

static int read_masquerade(const struct reader *r, const struct pk_json *object)
{
	const struct pk_json *v;
	int ret = member(r, object, "masquerade", PK_JSON_OBJECT, &v);

	if (ret == 0 && v)
		ret = pk_json_get_bool(r->json, v, "ipv4", &r->ep->masqueraded4, r->err);
	if (ret == 0 && v)
		ret = pk_json_get_bool(r->json, v, "ipv6", &r->ep->masqueraded6, r->err);
	return ret;
}

static bool is_taken(const char *name)
{
	return strcmp(name, "host") == 0 || strcmp(name, "remote-node") == 0 ||
	       strncmp(name, "world:", 6) == 0 || strncmp(name, "unknown:", 8) == 0;
}

static int read_parts(const struct reader *r, const struct pk_json *object)
{
	struct pk_err why = { 0 };
	int ret = read_labels(r, object);

	if (ret == 0)
		ret = read_unknowns(r, object);
	if (ret == 0)
		ret = read_addresses(r, object);
	if (ret == 0)
		ret = read_ports(r, object);
	if (ret == 0)
		ret = read_opens(r, object, "checks", pk_world_endpoint_add_check);
	if (ret == 0)
		ret = read_opens(r, object, "published", pk_world_endpoint_add_published);
	if (ret == 0)
		ret = read_names(r, object);
	if (ret == 0)
		ret = read_masquerade(r, object);
	if (ret == 0 && pk_label_set_finish(r->ep->labels, &why) < 0)
		ret = pk_json_fail(r->err, r->json, object, false, "%s", why.text);
	return ret;
}

static int read_endpoint(struct pk_scenario *c, const struct pk_json *object, bool live,
			 struct pk_err *err)
{
	static const char *const keys[] = { "name",	   "labels",	 "addresses", "ports",
					    "unknown",	   "checks",	 "published", "names",
					    "description", "masquerade", "node",      NULL };
	struct reader r = { .json = c->json, .err = err };
	const char *name = NULL, *node = NULL;
	int ret;

	if (pk_json_type(object) != PK_JSON_OBJECT)
		return wrong(&r, object, "an object");
	ret = live ? 0 : pk_json_only(c->json, object, keys, err);
	if (ret == 0)
		ret = pk_json_get_string(c->json, object, "name", &name, err);
	if (ret == 0)
		ret = pk_json_get_string(c->json, object, "node", &node, err);
	if (ret < 0)
		return ret;
	if (!name || !*name)
		return pk_json_fail(err, c->json, object, false, "an endpoint needs a \"name\"");
	if (is_taken(name) || pk_world_get(pk_asker_world(c->asker), name))
		return pk_json_fail(err, c->json, pk_json_get(object, "name"), false,
				    "\"%s\" is taken", name);
	r.ep = pk_world_endpoint_new(name);
	r.ep->labels = pk_label_set_new();
	ret = read_parts(&r, object);
	if (ret < 0)
		pk_world_endpoint_free(r.ep);
	else if (node)
		pk_asker_put_remote(c->asker, r.ep);
	else
		pk_asker_put(c->asker, r.ep);
	return ret;
}

int scenario_read_endpoints(struct pk_scenario *c, bool live, struct pk_err *err)
{
	const struct pk_json *list = pk_json_get(pk_json_root(c->json), "endpoints");
	const struct reader r = { .json = c->json, .err = err };
	int ret = 0;

	if (!list)
		return 0;
	if (pk_json_type(list) != PK_JSON_ARRAY)
		return wrong(&r, list, "an array");
	c->has_endpoints = true;
	for (const struct pk_json *v = pk_json_first(list); v && ret == 0; v = pk_json_next(v))
		ret = read_endpoint(c, v, live, err);
	return ret;
}
