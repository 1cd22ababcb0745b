/* SPDX-License-Identifier: Apache-2.0 */
/* One entry of a direction: its peers, and the conditions under which Cilium took it. */
#include <stdio.h>
#include <string.h>

#include "import_private.h"
#include "own.h"

#define KEYS_MAX 16 /* of an entry, the end included */

static const char *const from_keys[] = {
	"fromEndpoints", "fromRequires", "fromCIDR", "fromCIDRSet", "fromEntities",
	"fromGroups",	 "fromNodes",	 "toPorts",  "icmps",	    NULL
};
static const char *const to_keys[] = { "toEndpoints", "toRequires", "toCIDR",	"toCIDRSet",
				       "toEntities",  "toServices", "toGroups", "toNodes",
				       "toPorts",     "icmps",	    NULL };
/* An allow entry's alone. */
static const char *const allow_keys[] = { "authentication", NULL };
static const char *const egress_allow_keys[] = { "authentication", "toFQDNs", NULL };

static bool has(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

/* Fills in all keys that Cilium reads in such an entry. */
static void known_keys(const struct pk_importer *im, const char *known[KEYS_MAX])
{
	const char *const *more = im->ingress ? allow_keys : egress_allow_keys;
	size_t n = 0;

	for (const char *const *k = im->ingress ? from_keys : to_keys; *k; k++)
		known[n++] = *k;
	for (; *more && !im->deny; more++)
		known[n++] = *more;
	known[n] = NULL;
}

/* Returns the key without its direction ("Endpoints"), "" for what isn't a list of peers. */
static const char *peer_kind(const struct pk_importer *im, const char *key)
{
	const char *prefix = im->ingress ? "from" : "to";

	if (strncmp(key, prefix, strlen(prefix)) != 0 || strcmp(key, "toPorts") == 0)
		return "";
	return key + strlen(prefix);
}

/*
 * Returns whether an empty list of this kind counts: Cilium takes it for absent, but for one of
 * endpoints.
 */
static bool counts_when_empty(const char *kind)
{
	return strcmp(kind, "Endpoints") == 0 || strncmp(kind, "CIDR", 4) == 0 ||
	       strcmp(kind, "Entities") == 0 || strcmp(kind, "Nodes") == 0;
}

static bool is_empty(const struct pk_json *v)
{
	return pk_json_type(v) == PK_JSON_ARRAY && !pk_json_first(v);
}

/* Returns the key that m is read as, without a note: check_keys has said what there is to say. */
static const char *entry_key(struct pk_importer *im, const struct pk_json *entry,
			     const struct pk_json *m)
{
	const char *known[KEYS_MAX], *key;
	bool said = im->quiet;

	known_keys(im, known);
	im->quiet = true;
	key = pk_import_key(im, entry, m, known);
	im->quiet = said;
	return key;
}

static void check_keys(struct pk_importer *im, const struct pk_json *entry)
{
	const char *known[KEYS_MAX];

	known_keys(im, known);
	for (const struct pk_json *m = pk_json_first(entry); m; m = pk_json_next(m))
		pk_import_key(im, entry, m, known);
}

/*
 * Returns a condition or a kind of peer that can't be carried over, and without which the entry
 * would match more than it did; NULL: there is none.
 */
static const char *entry_loss(struct pk_importer *im, const struct pk_json *entry)
{
	static const char *const kinds[] = { "Groups", "Nodes", "FQDNs", NULL };
	const struct pk_json *auth = pk_import_get(im, entry, "authentication");
	const char *mode = pk_json_string(pk_import_get(im, auth, "mode"));

	for (const struct pk_json *m = pk_json_first(entry); m; m = pk_json_next(m)) {
		const char *key = entry_key(im, entry, m);

		if (key && has(kinds, peer_kind(im, key)) &&
		    (!is_empty(m) || counts_when_empty(peer_kind(im, key))))
			return key;
	}
	if (auth && !im->deny && (!mode || strcmp(mode, "disabled") != 0))
		return "authentication";
	return NULL;
}

static const char *loss_fix(const char *key)
{
	if (strcmp(key, "toFQDNs") == 0)
		return "name the addresses by toCIDR: a node doesn't learn names yet";
	if (strstr(key, "Nodes"))
		return "name the nodes by the entities host and remote-node";
	return strstr(key, "Groups") ? "name the addresses by CIDR" : NULL;
}

/*
 * Returns whether the member is left out: an empty list that says nothing, or requirements, which
 * were dealt with before.
 */
static bool is_left_out(struct pk_importer *im, const struct pk_json *m, const char *key)
{
	const char *kind = peer_kind(im, key);

	if (strcmp(kind, "Requires") == 0)
		return true;
	if (strcmp(key, "authentication") == 0) {
		import_repair(im, m, true, NULL, "removed: it asked for nothing");
		return true;
	}
	if (!is_empty(m) || counts_when_empty(kind))
		return false;
	import_repair(im, m, true, NULL, "removed: it says nothing");
	return true;
}

/*
 * Writes an entity with its note. The note is due even where the entry is written a second time,
 * and its other notes are left out.
 */
static void write_entity_name(struct pk_importer *im, const struct pk_json *at, const char *name)
{
	bool said = im->quiet;

	pk_jw_string(&im->w, NULL, name);
	im->quiet = false;
	pk_import_say_narrower(im, at, name);
	im->quiet = said;
}

static void write_entities(struct pk_importer *im, const struct pk_json *at, unsigned int entities)
{
	pk_jw_open(&im->w, im->ingress ? "fromEntities" : "toEntities", '[');
	if (entities & IMPORT_ALL)
		write_entity_name(im, at, "all");
	for (size_t i = 0; !(entities & IMPORT_ALL) && pk_import_entity_names[i]; i++)
		if (entities & (1u << i))
			write_entity_name(im, at, pk_import_entity_names[i]);
	pk_jw_close(&im->w, ']');
}

struct entry {
	const struct pk_json *v;
	const struct pk_json *endpoints; /* fromEndpoints or toEndpoints, NULL: absent */
	unsigned int entities;		 /* that its selectors match */
	bool selectors;			 /* and some of its selectors match endpoints */
};

/*
 * Writes an entry; with as_entities the same entry once more, for the entities that its selectors
 * match.
 */
static void write_entry(struct pk_importer *im, const struct entry *e, bool as_entities)
{
	const struct pk_json *ports = NULL;
	bool peers = false;

	pk_jw_open(&im->w, NULL, '{');
	for (const struct pk_json *m = pk_json_first(e->v); m; m = pk_json_next(m)) {
		const char *key = entry_key(im, e->v, m);
		const char *kind = key ? peer_kind(im, key) : "";

		if (!key || is_left_out(im, m, key))
			continue;
		peers |= *kind != '\0';
		if (strcmp(key, "toPorts") == 0 || strcmp(key, "icmps") == 0)
			ports = m;
		if (m == e->endpoints && as_entities) {
			write_entities(im, m, e->entities);
		} else if (strcmp(key, "toPorts") == 0) {
			pk_import_ports(im, m);
		} else if (strcmp(key, "icmps") == 0) {
			pk_import_icmps(im, m);
		} else if (*kind && pk_json_type(m) == PK_JSON_ARRAY) {
			pk_jw_open(&im->w, key, '[');
			pk_import_peers(im, kind, m);
			pk_jw_close(&im->w, ']');
		} else {
			pk_jw_value(&im->w, key, m);
		}
	}
	if (ports && !peers)
		pk_import_say_narrower(im, ports, "all");
	pk_jw_close(&im->w, '}');
}

/*
 * Writes the selectors into a scratch text, to learn what they match. quiet: without their notes,
 * which come when the selectors are written for good.
 */
static void try_selectors(struct pk_importer *im, struct entry *e, bool quiet)
{
	own_str scratch = { 0 };
	struct pk_jw w = im->w;

	if (pk_json_type(e->endpoints) != PK_JSON_ARRAY)
		return;
	im->quiet = quiet;
	im->w = (struct pk_jw){ .out = &scratch };
	pk_jw_open(&im->w, NULL, '[');
	e->entities = pk_import_peers(im, "Endpoints", e->endpoints);
	pk_jw_close(&im->w, ']');
	im->w = w;
	im->quiet = false;
	e->selectors = scratch.len > strlen("[]");
}

/* Requirements hold for selectors alone, but for the entities that these match as well. */
static void drop_entities(struct pk_importer *im, struct entry *e)
{
	bool required = im->ingress ? im->options->requires_from : im->options->requires_to;

	if (!e->entities || im->deny || !required)
		return;
	import_loss(im, e->endpoints, true, NULL,
		    "matches the world or hosts too: not written, since a rule has requirements "
		    "for peers (%s)",
		    im->ingress ? "fromRequires" : "toRequires");
	e->entities = 0;
}

static void say_entities(struct pk_importer *im, const struct entry *e)
{
	if (e->entities & IMPORT_ALL)
		import_repair(im, e->endpoints, true, NULL,
			      "matches everything, the world and hosts too: written as the entity "
			      "\"all\"");
	else if (e->entities)
		import_repair(im, e->endpoints, true, NULL,
			      "matches entities too: written as an entry of their own");
}

static void import_entry(struct pk_importer *im, const struct pk_json *v)
{
	const struct pk_json *ports = pk_import_get(im, v, "toPorts");
	struct entry e = { .v = v,
			   .endpoints = pk_import_get(
				   im, v, im->ingress ? "fromEndpoints" : "toEndpoints") };
	const char *loss = entry_loss(im, v);

	check_keys(im, v);
	if (loss && im->deny)
		import_refuse(im, v, false, loss_fix(loss),
			      "%s can't be carried over, and without this deny what it closes "
			      "would be open",
			      loss);
	else if (loss)
		import_loss(im, v, false, loss_fix(loss),
			    "%s can't be carried over: the entry became {}, which allows nothing",
			    loss);
	if (loss || (pk_json_type(ports) == PK_JSON_ARRAY && pk_json_first(ports) &&
		     !pk_import_kept_ports(im, ports))) {
		pk_jw_open(&im->w, NULL, '{');
		pk_jw_close(&im->w, '}');
		return;
	}
	try_selectors(im, &e, true);
	drop_entities(im, &e);
	say_entities(im, &e);
	if (!e.entities || e.selectors) {
		write_entry(im, &e, false);
		im->quiet = true;
	} else {
		try_selectors(im, &e, false);
	}
	if (e.entities)
		write_entry(im, &e, true);
	im->quiet = false;
}

/*
 * Writes requirements as denies of peers that don't fulfil them, since a requirement holds for all
 * rules about the endpoint.
 */
static void write_requirements(struct pk_importer *im, const struct pk_json *list)
{
	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e)) {
		const char *key = im->ingress ? "fromRequires" : "toRequires";
		const struct pk_json *
			requires
		= pk_import_get(im, e, key);

		if (!requires || is_empty(requires))
			continue;
		import_loss(im, requires, true, NULL,
			    "written as a deny of the endpoints that don't fulfil it: it closes "
			    "also what \"all\", \"cluster\" or no peer at all allows them");
		pk_jw_open(&im->w, NULL, '{');
		pk_jw_open(&im->w, im->ingress ? "fromEndpoints" : "toEndpoints", '[');
		pk_import_write_opposites(im, requires);
		pk_jw_close(&im->w, ']');
		pk_jw_close(&im->w, '}');
	}
}

static void say_denied_requirement(struct pk_importer *im, const struct pk_json *e)
{
	const struct pk_json *
		requires
	= pk_import_get(im, e, im->ingress ? "fromRequires" : "toRequires");

	if (im->deny && requires && !is_empty(requires))
		import_loss(
			im, requires, true, NULL,
			"removed: the denies about these endpoints are for all their peers now");
}

void pk_import_entries(struct pk_importer *im, const char *key, const struct pk_json *list,
		       const struct pk_json *requires_of)
{
	im->ingress = strncmp(key, "ingress", 7) == 0;
	im->deny = strstr(key, "Deny") != NULL;
	pk_jw_open(&im->w, key, '[');
	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e)) {
		if (!pk_import_object(im, NULL, e))
			continue;
		say_denied_requirement(im, e);
		import_entry(im, e);
	}
	write_requirements(im, requires_of);
	pk_jw_close(&im->w, ']');
}
