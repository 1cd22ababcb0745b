/* SPDX-License-Identifier: Apache-2.0 */
#include "random.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "str.h"

static uint64_t state = 1;

void rnd_seed(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15ull + 0x7f4a7c15ull;
	if (!state)
		state = 1;
}

uint32_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

uint32_t rnd_to(uint32_t n)
{
	return (uint32_t)((uint64_t)rnd() * n >> 32);
}

bool rnd_in(uint32_t n)
{
	return rnd_to(n) == 0;
}

#define PICK(list) list[rnd_to(PK_ARRAY_LEN(list))]

static const char *const namespaces[] = { "x", "y", "z" };
static const char *const jobs[] = { "a", "b", "c" };
static const char *const groups[] = { "g", "h" };
static const char *const tiers[] = { "web", "db" };
static const char *const services[] = { "pg", "redis" };
static const char *const port_names[] = { "http", "dns", "admin" };
static const char *const prefixes[] = { "203.0.113.0/24", "203.0.113.64/26", "10.0.0.0/8",
					"10.1.0.0/16",	  "10.1.2.3/32",     "0.0.0.0/0",
					"198.51.100.7",	  "2001:db8::/32",   "2001:db8:1::/48",
					"::/0",		  "fc00::/7",	     "192.168.7.0/24" };
static const char *const addresses[] = { "203.0.113.7", "203.0.113.70",	 "10.1.2.3",
					 "10.1.9.9",	"10.2.0.1",	 "198.51.100.7",
					 "8.8.8.8",	"192.168.7.7",	 "169.254.169.254",
					 "2001:db8::1", "2001:db8:1::1", "2600::1",
					 "fd00::9",	"10.0.0.53" };
static const uint16_t ports[] = { 22, 53, 79, 80, 81, 443, 1000, 1024, 5432, 8080, 65535, 1 };
static const char *const names[] = { "api.example.com", "www.example.com", "a.b.example.com",
				     "db.internal.test" };
static const char *const patterns[] = {
	"*",	"*.example.com",   "**.example.com", "***.example.com",
	"a*.*", "*.*.example.com", "API.*ample.com."
};

static char *take(struct pk_str *s)
{
	char *text = pk_str_take(s);

	if (!text)
		abort();
	return text;
}

/* Labels, the ways to write each, and values that endpoints have. */
static const struct {
	const char *spelling[3], *const *values;
	size_t n;
} labels[] = {
	{ { "nomad:namespace", "namespace", "netreap:nomad.namespace" }, namespaces, 3 },
	{ { "nomad:job", "any:job", "netreap:nomad.job_id" }, jobs, 3 },
	{ { "nomad:group", "group", "netreap:nomad.task_group_id" }, groups, 2 },
	{ { "consul:service", "service", "any:service" }, services, 2 },
	{ { "meta:tier", "tier", "nomad:tier" }, tiers, 2 },
};
#define META (PK_ARRAY_LEN(labels) - 1)

static const char *spelling(size_t label)
{
	return labels[label].spelling[rnd_in(3) ? 1 + rnd_to(2) : 0];
}

static void expression(struct pk_str *s, bool meta, bool *first)
{
	size_t k = rnd_to(PK_ARRAY_LEN(labels) - !meta);
	uint32_t op = rnd_to(5);

	pk_str_addf(s, "%s{\"key\":\"%s\",", *first ? "" : ",", spelling(k));
	*first = false;
	if (op >= 3) {
		pk_str_addf(s, "\"operator\":\"%s\"}", op == 3 ? "Exists" : "DoesNotExist");
		return;
	}
	pk_str_addf(s, "\"operator\":\"%s\",\"values\":[\"%s\"", op == 2 ? "NotIn" : "In",
		    labels[k].values[0]);
	for (size_t i = 1; i < labels[k].n; i++)
		if (rnd_in(3))
			pk_str_addf(s, ",\"%s\"", labels[k].values[i]);
	pk_str_add(s, "]}");
}

static void selector(struct pk_str *s, bool tenant, bool subject)
{
	bool first = true, named = rnd_in(3), meta = tenant || named;

	if (rnd_in(8) && (!subject || !tenant)) {
		static const char *const reserved[] = { "init", "host", "world", "remote-node" };

		pk_str_addf(s, "{\"matchLabels\":{\"reserved:%s\":\"\"}}",
			    subject ? "init" : PICK(reserved));
		return;
	}
	if (rnd_in(4)) {
		pk_str_add(s, "{}");
		return;
	}
	pk_str_add(s, "{\"matchLabels\":{");
	if (named)
		pk_str_addf(s, "\"%s\":\"%s\"", spelling(0), PICK(namespaces));
	if (rnd_in(2))
		pk_str_addf(s, "%s\"%s\":\"%s\"", named ? "," : "", spelling(1), PICK(jobs));
	/* "In an operator policy a selector that reads meta: must name the namespace." */
	else if (meta && rnd_in(2))
		pk_str_addf(s, "%s\"%s\":\"%s\"", named ? "," : "", spelling(META), PICK(tiers));
	pk_str_add(s, "}");
	if (rnd_in(meta ? 2 : 4)) {
		pk_str_add(s, ",\"matchExpressions\":[");
		expression(s, meta, &first);
		if (rnd_in(3))
			expression(s, meta, &first);
		pk_str_add(s, "]");
	}
	pk_str_add(s, "}");
}

/* One that has a list beside by itself, or with another one; nobody's addresses in most. */
static void long_list(struct pk_str *s, const char *dir)
{
	unsigned int n = rnd_in(2) ? PK_CIDR_BESIDE_MIN : PK_CIDR_BESIDE_MIN / 2;

	pk_str_addf(s, "\"%sCIDR\":[\"%s\",\"%s\"", dir, PICK(prefixes), PICK(prefixes));
	for (unsigned int i = 0; i < n; i++)
		pk_str_addf(s, ",\"172.20.%u.0/24\"", i);
	pk_str_add(s, "]");
}

static void cidrs(struct pk_str *s, const char *dir)
{
	if (rnd_in(3)) {
		long_list(s, dir);
	} else if (rnd_in(2)) {
		pk_str_addf(s, "\"%sCIDR\":[\"%s\",\"%s\"]", dir, PICK(prefixes), PICK(prefixes));
	} else if (rnd_in(2)) {
		pk_str_addf(
			s,
			"\"%sCIDRSet\":[{\"cidr\":\"10.0.0.0/8\",\"except\":[\"10.1.0.0/16\"%s]},"
			"{\"cidr\":\"%s\"}]",
			dir, rnd_in(2) ? ",\"10.1.2.3/32\"" : "", PICK(prefixes));
	} else if (rnd_in(3)) {
		pk_str_addf(s,
			    "\"%sCIDRSet\":[{\"cidr\":\"::/0\",\"except\":[\"2001:db8::/32\"]},"
			    "{\"cidr\":\"2001:db8:1::/48\"}]",
			    dir);
	} else {
		pk_str_addf(s,
			    "\"%sCIDRSet\":[{\"cidr\":\"0.0.0.0/0\",\"except\":[\"203.0.113.0/24\","
			    "\"10.0.0.0/8\"]},{\"cidr\":\"203.0.113.64/26\"}]",
			    dir);
	}
}

static void entities(struct pk_str *s, const char *dir)
{
	static const char *const list[] = { "all",	   "world",   "world-ipv4",
					    "world-ipv6",  "cluster", "host",
					    "remote-node", "init",    "none" };

	pk_str_addf(s, "\"%sEntities\":[\"%s\"", dir, PICK(list));
	if (rnd_in(3))
		pk_str_addf(s, ",\"%s\"", PICK(list));
	pk_str_add(s, "]");
}

/* "A peer list that is empty … matches nothing." */
static void no_peers(struct pk_str *s, bool egress)
{
	static const char *const kinds[] = { "Endpoints", "CIDR", "CIDRSet", "Entities" };

	pk_str_addf(s, "\"%s%s\":[]", egress ? "to" : "from", PICK(kinds));
}

static void peers(struct pk_str *s, bool egress, bool tenant, bool may_name)
{
	const char *dir = egress ? "to" : "from";
	uint32_t kind = rnd_to(12);

	if (rnd_in(30)) {
		no_peers(s, egress);
	} else if (kind < 5) {
		pk_str_addf(s, "\"%sEndpoints\":[", dir);
		selector(s, tenant, false);
		if (rnd_in(3)) {
			pk_str_add(s, ",");
			selector(s, tenant, false);
		}
		pk_str_add(s, "]");
	} else if (kind < 8) {
		cidrs(s, dir);
	} else if (kind < 10) {
		entities(s, dir);
	} else if (egress && kind == 10) {
		pk_str_addf(s, "\"toServices\":[{\"name\":\"%s\"", PICK(services));
		if (rnd_in(2))
			pk_str_addf(s, ",\"namespace\":\"%s\"", PICK(namespaces));
		pk_str_addf(s, "}%s]", rnd_in(4) ? ",{\"name\":\"pg\"}" : "");
	} else if (egress && may_name) {
		bool name = rnd_in(3);

		pk_str_addf(s, "\"toFQDNs\":[{\"%s\":\"%s\"}%s]",
			    name ? "matchName" : "matchPattern",
			    name ? "Api.example.com." : PICK(patterns),
			    rnd_in(3) ? ",{\"matchName\":\"db.internal.test\"}" : "");
	}
}

static void one_port(struct pk_str *s)
{
	static const char *const protocols[] = { "TCP", "UDP", "SCTP", "ANY", "tcp" };
	static const char *const bare[] = { "\"ICMP\"", "\"ICMPv6\"", "\"GRE\"",  "\"47\"",
					    "\"ESP\"",	"\"AH\"",     "\"IPIP\"", "6",
					    "17",	"58" };
	uint32_t kind = rnd_to(10);
	uint16_t port = PICK(ports);
	const char *quote = rnd_in(3) ? "" : "\"";

	if (kind < 4)
		pk_str_addf(s, "{\"port\":%s%u%s,\"protocol\":\"%s\"}", quote, port, quote,
			    PICK(protocols));
	else if (kind == 4)
		pk_str_addf(s, "{\"port\":\"%u\"}", port);
	else if (kind < 7 && port < 60000)
		pk_str_addf(s, "{\"port\":\"%u\",\"endPort\":%u,\"protocol\":\"%s\"}", port,
			    port + rnd_to(2000), PICK(protocols));
	else if (kind < 8 + (kind > 6))
		pk_str_addf(s, "{\"port\":\"%s\"%s}", PICK(port_names),
			    rnd_in(2) ? ",\"protocol\":\"TCP\"" : "");
	else if (kind == 8)
		pk_str_addf(s, "{\"protocol\":%s}", PICK(bare));
	else
		pk_str_addf(s, "{\"port\":\"0\",\"protocol\":\"%s\"}", PICK(protocols));
}

static void icmp_field(struct pk_str *s)
{
	static const char *const types4[] = { "8", "\"8\"", "\"EchoRequest\"",
					      "\"DestinationUnreachable\"" };
	static const char *const types6[] = { "128", "\"EchoRequest\"", "3" };
	bool v6 = rnd_in(3);

	pk_str_addf(s, "{%s\"type\":%s", v6 ? "\"family\":\"IPv6\"," : "",
		    v6 ? PICK(types6) : PICK(types4));
	if (rnd_in(3))
		pk_str_addf(s, ",\"code\":%u", rnd_to(2));
	pk_str_add(s, "}");
}

/* One element or two, with one or two parts each. */
static void port_part(struct pk_str *s)
{
	bool icmp = rnd_in(5);
	void (*part)(struct pk_str *) = icmp ? icmp_field : one_port;

	pk_str_add(s, icmp ? "\"icmps\":[" : "\"toPorts\":[");
	for (bool first = true; first || rnd_in(6); first = false) {
		pk_str_addf(s, "%s{\"%s\":[", first ? "" : ",", icmp ? "fields" : "ports");
		part(s);
		if (rnd_in(3)) {
			pk_str_add(s, ",");
			part(s);
		}
		pk_str_add(s, "]}");
	}
	pk_str_add(s, "]");
}

static char *entry(int section, bool tenant, bool may_pass)
{
	bool egress = section >= 2, deny = section & 1;
	bool pass = !deny && may_pass && rnd_in(3);
	struct pk_str s = { 0 }, part = { 0 };

	if (rnd_in(12)) {
		pk_str_add(&s, "{}");
		return take(&s);
	}
	peers(&part, egress, tenant, !deny && !pass);
	pk_str_add(&s, "{");
	if (part.len)
		pk_str_add(&s, part.text);
	if (!part.len || rnd_in(2)) {
		pk_str_add(&s, part.len ? "," : "");
		port_part(&s);
	}
	if (pass)
		pk_str_add(&s, ",\"pass\":true");
	else if (!deny && rnd_in(20))
		pk_str_add(&s, ",\"pass\":false");
	pk_str_add(&s, "}");
	pk_str_done(&part);
	return take(&s);
}

static void make_rule(struct g_rule *r, bool tenant, bool operator_tier)
{
	struct pk_str s = { 0 };
	bool has[2] = { false, false };
	uint32_t flags = rnd_to(6);

	selector(&s, tenant, true);
	r->subject = take(&s);
	while (!has[0] && !has[1])
		for (int section = 0; section < 4; section++)
			for (int i = 0; i < ENTRIES_MAX; i++) {
				if (!rnd_in(i ? 5 : 3) || r->entry[section][i])
					continue;
				r->entry[section][i] = entry(section, tenant, operator_tier);
				has[section >= 2] = true;
			}
	if (flags < 2 && has[0] && has[1])
		pk_str_addf(&s, ",\"enableDefaultDeny\":{\"ingress\":%s,\"egress\":%s}",
			    flags ? "true" : "false", rnd_in(2) ? "true" : "false");
	else if (flags < 2)
		pk_str_addf(&s, ",\"enableDefaultDeny\":{\"%s\":%s}", has[0] ? "ingress" : "egress",
			    flags ? "true" : "false");
	if (rnd_in(20))
		pk_str_add(&s, ",\"description\":\"why\",\"log\":{\"value\":\"note\"}");
	r->flags = s.len ? take(&s) : NULL;
}

/* An operator's prefixes for everybody, or for one namespace. */
static void make_listed(struct g_rule *r)
{
	struct pk_str s = { 0 };

	if (rnd_in(2))
		pk_str_add(&s, "{}");
	else
		pk_str_addf(&s, "{\"matchLabels\":{\"%s\":\"%s\"}}", spelling(0), PICK(namespaces));
	r->subject = take(&s);
	for (int i = 0; i < ENTRIES_MAX; i++) {
		uint32_t section = rnd_to(4);

		pk_str_add(&s, "{");
		long_list(&s, section >= 2 ? "to" : "from");
		if (rnd_in(4)) {
			pk_str_add(&s, ",");
			port_part(&s);
		}
		pk_str_add(&s, "}");
		r->entry[section][i] = take(&s);
	}
}

static void make_doc(struct g_doc *d, size_t index)
{
	static const char *const some[] = { "operator", "tenant", "baseline" };

	snprintf(d->name, sizeof(d->name), "d%zu", rnd_to(2) * 50 + index);
	if (rnd_in(2))
		d->tenant_name = PICK(namespaces);
	d->tier = d->tenant_name ? some[1 + rnd_in(4)] : PICK(some);
	d->audit = rnd_in(6);
	d->n_rules = 1 + rnd_to(RULES_MAX);
	for (size_t i = 0; i < d->n_rules; i++)
		if (!d->tenant_name && rnd_in(2))
			make_listed(&d->rules[i]);
		else
			make_rule(&d->rules[i], d->tenant_name, strcmp(d->tier, "operator") == 0);
}

/* Services that are declared, of names that documents name, at addresses that are asked about. */
static void make_services(struct pk_settings *s)
{
	static const char *const within[] = { "203.0.113.0/24", "10.1.0.0/16", "2001:db8::/32" };
	static const char *const instances[] = { "203.0.113.7", "10.1.2.3", "10.1.9.9",
						 "2001:db8::1" };

	s->n_services = rnd_to(3);
	s->services = pk_alloc((s->n_services + 1) * sizeof(*s->services));
	for (size_t i = 0; i < s->n_services; i++) {
		struct pk_declared_service *d = &s->services[i];

		strcpy(d->name, PICK(services));
		if (rnd_in(2))
			strcpy(d->tenant_name, PICK(namespaces));
		d->all_tenants = rnd_in(3);
		if (rnd_in(2))
			strcpy(d->tenants[d->n_tenants++], PICK(namespaces));
		for (size_t j = 0; j < PK_ARRAY_LEN(within); j++)
			if (rnd_in(2))
				pk_prefix_parse(within[j], &d->within[d->n_within++]);
		for (size_t j = 0; j < PK_ARRAY_LEN(instances); j++)
			if (rnd_in(2)) {
				union pk_addr *addr = &d->instances[d->n_instances];

				pk_addr_parse(instances[j], addr);
				d->n_instances += pk_declared_service_has(d, addr);
			}
	}
}

static void make_settings(struct pk_settings *s)
{
	static const enum pk_baseline some[] = { PK_BASELINE_TENANT, PK_BASELINE_TENANT,
						 PK_BASELINE_TENANT, PK_BASELINE_DENY,
						 PK_BASELINE_OPEN };

	pk_settings_init(s);
	s->baseline = PICK(some);
	s->health_checks = !rnd_in(4);
	s->resolver_host = rnd_in(2);
	s->reach_host = rnd_in(3);
	s->reach_remote_node = rnd_in(3);
	if (rnd_in(2)) {
		s->resolvers = pk_alloc(sizeof(*s->resolvers));
		pk_addr_parse("10.0.0.53", &s->resolvers[0]);
		s->n_resolvers = 1;
	}
	make_services(s);
	if (rnd_in(2)) {
		s->reach = pk_alloc(sizeof(*s->reach));
		pk_prefix_parse("10.1.0.0/16", &s->reach[0]);
		s->n_reach = 1;
	}
}

void g_world_make(struct g_world *w)
{
	*w = (struct g_world){ .n_docs = rnd_to(DOCS_MAX + 1),
			       .n_endpoints = 3 + rnd_to(ENDPOINTS_MAX - 2) };
	make_settings(&w->settings);
	for (size_t i = 0; i < w->n_docs; i++)
		make_doc(&w->docs[i], i);
	for (size_t i = 0; i < w->n_endpoints; i++) {
		snprintf(w->endpoints[i].key, sizeof(w->endpoints[i].key), "e%zu", i);
		w->endpoints[i].seed = (uint64_t)rnd() << 32 | rnd();
	}
}

void g_world_done(struct g_world *w)
{
	for (size_t i = 0; i < w->n_docs; i++)
		for (size_t j = 0; j < w->docs[i].n_rules; j++) {
			struct g_rule *r = &w->docs[i].rules[j];

			free(r->subject);
			free(r->flags);
			for (int section = 0; section < 4; section++)
				for (int k = 0; k < ENTRIES_MAX; k++)
					free(r->entry[section][k]);
		}
	pk_settings_done(&w->settings);
}

static bool rule_text(const struct g_rule *r, struct pk_str *out)
{
	static const char *const sections[] = { "ingress", "ingressDeny", "egress", "egressDeny" };
	bool any = false;

	pk_str_addf(out, "{\"endpointSelector\":%s%s", r->subject, r->flags ? r->flags : "");
	for (int section = 0; section < 4; section++) {
		bool first = true;

		for (int i = 0; i < ENTRIES_MAX; i++) {
			if (!r->entry[section][i])
				continue;
			if (first)
				pk_str_addf(out, ",\"%s\":[", sections[section]);
			pk_str_addf(out, "%s%s", first ? "" : ",", r->entry[section][i]);
			first = false;
			any = true;
		}
		if (!first)
			pk_str_add(out, "]");
	}
	pk_str_add(out, "}");
	return any;
}

void g_doc_text(const struct g_doc *doc, struct pk_str *out)
{
	bool first = true;

	if (doc->gone)
		return;
	pk_str_addf(out, "{\"$schema\":\"s\",\"name\":\"%s\",\"tier\":\"%s\",", doc->name,
		    doc->tier);
	if (doc->tenant_name)
		pk_str_addf(out, "\"namespace\":\"%s\",", doc->tenant_name);
	pk_str_addf(out, "\"audit\":%s,\"rules\":[", doc->audit ? "true" : "false");
	for (size_t i = 0; i < doc->n_rules; i++) {
		struct pk_str rule = { 0 };

		if (!doc->rules[i].gone && rule_text(&doc->rules[i], &rule)) {
			pk_str_addf(out, "%s%s", first ? "" : ",", rule.text);
			first = false;
		}
		pk_str_done(&rule);
	}
	pk_str_add(out, "]}");
	if (first)
		out->len = 0;
}

static void make_labels(struct pk_label_set *l)
{
	static const char *const unknown[] = { "meta:*",  "nomad:job", "consul:service",
					       "port:*",  "*",	       "port:http",
					       "nomad:*", "consul:*",  "nomad:group" };

	if (!rnd_in(12))
		pk_label_set_add(l, "nomad:namespace", PICK(namespaces));
	else if (rnd_in(3))
		pk_label_set_add_unknown(l, "nomad:namespace");
	if (!rnd_in(6))
		pk_label_set_add(l, "nomad:job", PICK(jobs));
	if (rnd_in(2))
		pk_label_set_add(l, "nomad:group", PICK(groups));
	if (rnd_in(2))
		pk_label_set_add(l, "meta:tier", PICK(tiers));
	for (size_t i = 0; i < PK_ARRAY_LEN(services); i++)
		if (rnd_in(3))
			pk_label_set_add(l, "consul:service", services[i]);
	while (rnd_in(3))
		pk_label_set_add_unknown(l, PICK(unknown));
	if (pk_label_set_finish(l, NULL) < 0)
		abort();
}

static void make_ports(struct pk_world_endpoint *ep)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, PK_PROTO_ANY };

	for (size_t i = 0; i < PK_ARRAY_LEN(port_names); i++)
		if (rnd_in(2))
			pk_world_endpoint_add_port(ep, port_names[i], PICK(protocols), PICK(ports));
	if (rnd_in(2))
		pk_world_endpoint_add_check(ep, PICK(protocols), PICK(ports));
	if (rnd_in(2))
		pk_world_endpoint_add_published(ep, PICK(protocols), PICK(ports));
}

struct pk_world_endpoint *g_endpoint_make(const struct g_endpoint *e)
{
	struct pk_world_endpoint *ep = pk_world_endpoint_new(e->key);
	uint64_t keep = state;
	union pk_addr addr;

	rnd_seed(e->seed);
	ep->labels = pk_label_set_new();
	make_labels(ep->labels);
	make_ports(ep);
	for (size_t i = 0; i < PK_ARRAY_LEN(names); i++)
		for (int j = 0; j < 2 && rnd_in(2); j++) {
			pk_addr_parse(PICK(addresses), &addr);
			pk_world_endpoint_add_name(ep, names[i], &addr);
		}
	state = keep;
	return ep;
}

void g_query(const struct pk_world *world, const struct pk_world_endpoint *subject,
	     const struct pk_world_endpoint *const *peer_list, size_t n_peers,
	     struct pk_question *out)
{
	static const uint8_t others[] = { 50, 51, 4, 99 }, types[] = { 8, 8, 128, 3 };
	const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_TCP,	 IPPROTO_TCP,  IPPROTO_UDP,
				      IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, IPPROTO_ICMPV6,
				      47,	   PICK(others) };
	uint32_t kind = rnd_to(10);

	(void)world;
	*out = (struct pk_question){ .subject = subject,
				     .dir = (enum pk_dir)rnd_to(2),
				     .proto = PICK(protocols),
				     .port = PICK(ports) };
	if (rnd_in(6))
		out->port = (uint16_t)rnd();
	if (out->proto == IPPROTO_ICMP || out->proto == IPPROTO_ICMPV6)
		out->port = PK_PORT_ICMP(PICK(types), rnd_to(2));
	if (kind < 5 && n_peers) {
		out->peer.party = PK_PARTY_ENDPOINT;
		out->peer.endpoint = peer_list[rnd_to((uint32_t)n_peers)];
	} else if (kind < 6) {
		out->peer.party = PK_PARTY_UNKNOWN;
		pk_addr_parse("10.40.0.9", &out->peer.address);
	} else if (kind < 7) {
		out->peer.party = rnd_in(2) ? PK_PARTY_HOST : PK_PARTY_REMOTE_NODE;
	} else {
		out->peer.party = PK_PARTY_WORLD;
		pk_addr_parse(PICK(addresses), &out->peer.address);
	}
}
