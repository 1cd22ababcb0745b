/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads runtimeConfig.portMappings. go-cni writes its keys capitalised, the convention says
 * otherwise: keys are matched without case (contracts with Nomad 1.11.2).
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cni_conf.h"
#include "own.h"

static int get_port(const struct cni_conf *conf, const struct pk_json *mapping, const char *key,
		    uint16_t *out, struct pk_err *err)
{
	const struct pk_json *v = pk_json_get_nocase(mapping, key);
	int64_t n;

	if (!v)
		return pk_json_fail(err, conf->doc, mapping, false, "\"%s\" is missing", key);
	if (pk_json_type(v) != PK_JSON_NUMBER || pk_json_int(v, 1, 65535, &n) < 0)
		return pk_json_fail(err, conf->doc, v, false, "expected a port, 1 to 65535");
	*out = (uint16_t)n;
	return 0;
}

static int get_proto(const struct cni_conf *conf, const struct pk_json *mapping, uint8_t *out,
		     struct pk_err *err)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} table[] = { { "tcp", IPPROTO_TCP }, { "udp", IPPROTO_UDP } };
	const struct pk_json *v = pk_json_get_nocase(mapping, "protocol");
	const char *text = v ? pk_json_string(v) : "tcp";
	int r;

	for (size_t i = 0; text && i < PK_ARRAY_LEN(table); i++) {
		if (!strcasecmp(text, table[i].name)) {
			*out = table[i].proto;
			return 0;
		}
	}
	r = pk_json_fail(err, conf->doc, v, false, "expected \"tcp\" or \"udp\"");
	if (text && !strcasecmp(text, "sctp"))
		pk_fix(err, r,
		       "publish TCP and UDP alone: SCTP's checksum knows its ports, so it isn't "
		       "translated; it reaches the endpoint's own address");
	return r;
}

static int get_host_addr(const struct cni_conf *conf, const struct pk_json *mapping,
			 union pk_addr *out, struct pk_err *err)
{
	const struct pk_json *v = pk_json_get_nocase(mapping, "hostIP");
	const char *text = v ? pk_json_string(v) : "";

	if (text && !*text)
		return 0;
	if (!text || pk_addr_parse(text, out) < 0)
		return pk_json_fail(err, conf->doc, v, false, "expected an address or \"\"");
	if (pk_addr_is4(out) ? !pk_addr_to4(out) : pk_addr_is_zero(out))
		*out = (union pk_addr){ 0 };
	return 0;
}

/* Returns whether two mappings meet: one on every address (all zero) meets one on any. */
static bool meet(const struct cni_port *a, const struct cni_port *b)
{
	return a->proto == b->proto && a->host == b->host &&
	       (pk_addr_is_zero(&a->host_addr) || pk_addr_is_zero(&b->host_addr) ||
		pk_addr_equal(&a->host_addr, &b->host_addr));
}

static int add(struct cni_conf *conf, const struct pk_json *mapping, const struct cni_port *port,
	       struct pk_err *err)
{
	for (size_t i = 0; i < conf->n_ports; i++) {
		struct cni_port *has = &conf->ports[i];

		if (!meet(has, port))
			continue;
		if (has->container != port->container)
			return pk_json_fail(err, conf->doc, mapping, false,
					    "host port %u is mapped to two ports", port->host);
		if (pk_addr_is_zero(&has->host_addr) ||
		    pk_addr_equal(&has->host_addr, &port->host_addr))
			return 0;
	}
	conf->ports[conf->n_ports++] = *port;
	return 0;
}

int cni_ports_parse(struct cni_conf *conf, const struct pk_json *mappings, struct pk_err *err)
{
	size_t n = pk_json_count(mappings);
	int r = 0;

	if (pk_json_type(mappings) == PK_JSON_NULL)
		return 0;
	if (pk_json_type(mappings) != PK_JSON_ARRAY)
		return pk_json_fail(err, conf->doc, mappings, false, "expected an array");
	if (n > CNI_PORTS_MAX || conf->ports)
		return pk_json_fail(err, conf->doc, mappings, false,
				    conf->ports ? "port mappings are given twice"
						: "more than %d port mappings",
				    CNI_PORTS_MAX);
	conf->ports = pk_alloc((n + 1) * sizeof(*conf->ports));
	for (const struct pk_json *m = pk_json_first(mappings); m && r == 0; m = pk_json_next(m)) {
		struct cni_port port = { 0 };

		if (pk_json_type(m) != PK_JSON_OBJECT)
			return pk_json_fail(err, conf->doc, m, false, "expected an object");
		r = get_port(conf, m, "hostPort", &port.host, err);
		if (r == 0)
			r = get_port(conf, m, "containerPort", &port.container, err);
		if (r == 0)
			r = get_proto(conf, m, &port.proto, err);
		if (r == 0)
			r = get_host_addr(conf, m, &port.host_addr, err);
		if (r == 0)
			r = add(conf, m, &port, err);
	}
	return r;
}
