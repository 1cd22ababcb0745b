/* SPDX-License-Identifier: Apache-2.0 */
/* One entry of a direction: its peers, and `pass`. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "doc_read.h"
#include "own.h"
#include "world.h"

static void read_prefix(struct pk_reader *r, const struct pk_json *v, struct pk_prefix *out)
{
	char text[PK_ADDR_TEXT], fix[PK_ADDR_TEXT + 16];
	union pk_addr given;

	r->doc->n_prefixes++;
	pk_prefix_parse(pk_json_string(v), out);
	given = out->addr;
	pk_prefix_mask(out);
	if (pk_addr_equal(&given, &out->addr))
		return;
	snprintf(fix, sizeof(fix), "write \"%s\"", pk_prefix_format(out, text));
	pk_read_warn(r, v, false, fix, "the address has bits beyond its prefix: they are ignored");
}

/* docs/policy.md, "Protected addresses": what a tenant's egress allow never opens by itself. */
static bool needs_reach(const struct pk_reader *r, const struct pk_read_context *in)
{
	return r->doc->tenant_name && !in->deny && in->dir == PK_EGRESS;
}

static bool is_reached(const struct pk_settings *s, const struct pk_prefix *prefix)
{
	for (size_t i = 0; s && i < s->n_reach; i++)
		if (pk_prefix_covers(&s->reach[i], prefix))
			return true;
	return false;
}

static void read_cidr(struct pk_reader *r, const struct pk_json *v,
		      const struct pk_read_context *in, struct pk_prefix *out)
{
	read_prefix(r, v, out);
	for (size_t i = 0;
	     i < pk_n_protected && needs_reach(r, in) && !is_reached(r->settings, out); i++)
		if (pk_prefix_covers(&pk_protected[i], out))
			pk_read_warn(
				r, v, false, "the operator's \"tenantReach\" must list it",
				"a tenant's policy doesn't open the way to protected addresses "
				"by itself");
}

static void read_cidrs(struct pk_reader *r, const struct pk_json *list,
		       const struct pk_read_context *in, struct pk_entry *entry)
{
	entry->cidrs = pk_read_array(pk_json_count(list), sizeof(*entry->cidrs));
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v))
		read_cidr(r, v, in, &entry->cidrs[entry->n_cidrs++].cidr);
}

static void read_except(struct pk_reader *r, const struct pk_json *list, struct pk_cidr_rule *cidr)
{
	char text[PK_ADDR_TEXT];

	cidr->except = pk_read_array(pk_json_count(list), sizeof(*cidr->except));
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		struct pk_prefix *hole = &cidr->except[cidr->n_except++];

		read_prefix(r, v, hole);
		if (!pk_prefix_covers(&cidr->cidr, hole))
			pk_read_error(r, v, false, NULL, "\"%s\" is not inside its cidr, %s",
				      pk_json_string(v), pk_prefix_format(&cidr->cidr, text));
		else if (pk_prefix_covers(hole, &cidr->cidr))
			pk_read_warn(r, v, false, NULL, "leaves nothing of its cidr");
	}
}

static void read_cidr_sets(struct pk_reader *r, const struct pk_json *list,
			   const struct pk_read_context *in, struct pk_entry *entry)
{
	entry->cidrs = pk_read_array(pk_json_count(list), sizeof(*entry->cidrs));
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		struct pk_cidr_rule *cidr = &entry->cidrs[entry->n_cidrs++];

		read_cidr(r, pk_json_get(v, "cidr"), in, &cidr->cidr);
		read_except(r, pk_json_get(v, "except"), cidr);
	}
}

static void warn_tenant_reach(struct pk_reader *r, const struct pk_json *at, bool key,
			      const struct pk_read_context *in, enum pk_entity entity)
{
	if (!needs_reach(r, in) || (entity != PK_ENTITY_HOST && entity != PK_ENTITY_REMOTE_NODE))
		return;
	if (r->settings &&
	    (entity == PK_ENTITY_HOST ? r->settings->reach_host : r->settings->reach_remote_node))
		return;
	pk_read_warn(r, at, key, "the operator's \"tenantReach\" must list it",
		     "a tenant's policy doesn't open the way to \"%s\" by itself",
		     pk_entity_name(entity));
}

static void read_entities(struct pk_reader *r, const struct pk_json *list,
			  const struct pk_read_context *in, struct pk_entry *entry)
{
	entry->entities = pk_read_array(pk_json_count(list), sizeof(*entry->entities));
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		enum pk_entity *entity = &entry->entities[entry->n_entities++];

		pk_entity_parse(pk_json_string(v), entity);
		warn_tenant_reach(r, v, false, in, *entity);
	}
}

static void read_selectors(struct pk_reader *r, const struct pk_json *list,
			   const struct pk_read_context *in, struct pk_entry *entry)
{
	entry->selectors = pk_read_array(pk_json_count(list), sizeof(*entry->selectors));
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		struct pk_selector *sel = &entry->selectors[entry->n_selectors++];

		pk_read_selector(r, v, in, sel);
		if (sel->is_entity)
			warn_tenant_reach(r, v, false, in, sel->entity);
	}
}

static void read_services(struct pk_reader *r, const struct pk_json *list, struct pk_entry *entry)
{
	entry->services = pk_read_array(pk_json_count(list), sizeof(*entry->services));
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		struct pk_service_ref *ref = &entry->services[entry->n_services++];
		const char *tenant_name = pk_json_string(pk_json_get(v, "namespace"));

		ref->name = pk_read_text(pk_json_string(pk_json_get(v, "name")));
		if (!tenant_name)
			tenant_name = r->doc->tenant_name;
		if (tenant_name)
			ref->tenant_name = pk_read_text(tenant_name);
		else
			pk_read_warn(r, v, false, "add \"namespace\"",
				     "means this service of every namespace: any tenant can "
				     "register one of that name");
	}
}

/*
 * Returns the name in lower case, without its last dot. But "*." is a name of one part, and "*"
 * every name.
 */
static char *dns_name(const char *text)
{
	char *name = pk_read_text(text);
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		name[i] = (char)tolower((unsigned char)name[i]);
	if (n > 1 && name[n - 1] == '.' && strspn(name, "*") < n - 1)
		name[n - 1] = '\0';
	return name;
}

static void read_fqdns(struct pk_reader *r, const struct pk_json *list, struct pk_entry *entry)
{
	entry->fqdns = pk_read_array(pk_json_count(list), sizeof(*entry->fqdns));
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		struct pk_fqdn *fqdn = &entry->fqdns[entry->n_fqdns++];
		const char *name = pk_json_string(pk_json_get(v, "matchName"));
		const char *pattern = pk_json_string(pk_json_get(v, "matchPattern"));

		if (name)
			fqdn->name = dns_name(name);
		else if (pattern)
			fqdn->pattern = dns_name(pattern);
		else
			pk_read_error(r, v, false, NULL, "neither matchName nor matchPattern");
	}
	if (!r->doc->uses_fqdn)
		pk_read_warn(r, list, true, "name the addresses by toCIDR until then",
			     "a node doesn't learn names yet: picketd refuses a document with "
			     "toFQDNs");
	r->doc->uses_fqdn = true;
}

static const struct {
	const char *suffix;
	enum pk_peers_kind kind;
} kinds[] = {
	{ "Endpoints", PK_PEERS_ENDPOINTS }, { "CIDR", PK_PEERS_CIDR },
	{ "CIDRSet", PK_PEERS_CIDR },	     { "Entities", PK_PEERS_ENTITIES },
	{ "Services", PK_PEERS_SERVICES },   { "FQDNs", PK_PEERS_FQDNS },
};

static enum pk_peers_kind peer_kind(const char *key, enum pk_dir dir)
{
	const char *prefix = dir == PK_INGRESS ? "from" : "to";
	size_t n = strlen(prefix);

	for (size_t i = 0; i < PK_ARRAY_LEN(kinds); i++)
		if (strncmp(key, prefix, n) == 0 && strcmp(key + n, kinds[i].suffix) == 0)
			return kinds[i].kind;
	return PK_PEERS_ABSENT;
}

static void read_peers(struct pk_reader *r, const struct pk_json *m,
		       const struct pk_read_context *in, struct pk_entry *entry)
{
	switch (entry->kind) {
	case PK_PEERS_ABSENT:
		return;
	case PK_PEERS_ENDPOINTS:
		read_selectors(r, m, in, entry);
		break;
	case PK_PEERS_CIDR:
		if (pk_json_type(pk_json_first(m)) == PK_JSON_OBJECT)
			read_cidr_sets(r, m, in, entry);
		else
			read_cidrs(r, m, in, entry);
		break;
	case PK_PEERS_ENTITIES:
		read_entities(r, m, in, entry);
		break;
	case PK_PEERS_SERVICES:
		read_services(r, m, entry);
		break;
	case PK_PEERS_FQDNS:
		read_fqdns(r, m, entry);
		break;
	}
	if (!pk_json_first(m))
		pk_read_warn(r, m, true, NULL, "an empty list matches nothing");
}

static void read_pass(struct pk_reader *r, const struct pk_json *v, struct pk_entry *entry)
{
	const struct pk_json *pass = pk_json_get(v, "pass");

	entry->pass = pk_json_true(pass);
	if (entry->kind == PK_PEERS_ABSENT && !entry->has_ports && pass)
		pk_read_error(r, v, false, "name the peers, if need be the entity \"all\"",
			      "neither peers nor ports");
	if (!entry->pass)
		return;
	if (r->doc->tier != PK_TIER_OPERATOR)
		pk_read_error(r, pass, true, NULL, "only the operator tier can pass");
	if (entry->kind == PK_PEERS_FQDNS)
		pk_read_error(r, pass, true, NULL, "pass doesn't go with toFQDNs");
}

void pk_read_entry(struct pk_reader *r, const struct pk_json *v, const struct pk_read_context *in,
		   struct pk_entry *entry)
{
	entry->line = pk_json_line(r->json, v);
	entry->deny = in->deny;
	entry->empty = !pk_json_first(v);
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m)) {
		enum pk_peers_kind kind = peer_kind(pk_json_key(m), in->dir);

		if (kind == PK_PEERS_ABSENT)
			continue;
		entry->kind = kind;
		read_peers(r, m, in, entry);
	}
	pk_read_ports(r, v, entry);
	read_pass(r, v, entry);
}
