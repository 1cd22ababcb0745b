/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <errno.h>
#include <libgen.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "scenario_private.h"
#include "docsource.h"
#include "fs.h"
#include "icmp.h"
#include "rules.h"

#define POLICY_MAX PK_JSON_MAX
#define ALLOC_MIN  4 /* characters of an allocation's id that count as one */

void pk_scenario_free(struct pk_scenario *c)
{
	if (!c)
		return;
	pk_asker_free(c->asker);
	for (size_t i = 0; i < c->n_docs; i++)
		pk_document_free(c->docs[i]);
	free(c->docs);
	free(c->path);
	pk_settings_done(&c->settings);
	pk_json_free(c->json);
	free(c);
}

static struct pk_scenario *case_new(const char *path)
{
	struct pk_scenario *c = pk_alloc(sizeof(*c));

	c->path = pk_strdup(path);
	pk_settings_init(&c->settings);
	c->asker = pk_asker_new(&c->settings, NULL, 0);
	return c;
}

static void push_doc(struct pk_scenario *c, struct pk_document *doc, struct pk_str *said)
{
	for (size_t i = 0; i < c->n_docs && !c->replacing; i++)
		if (strcmp(c->docs[i]->name, doc->name) == 0 &&
		    strcmp(c->docs[i]->source, doc->source) == 0) {
			pk_str_add(said, c->path);
			pk_str_add(said, ": warning: two documents are called '");
			pk_str_add_escaped(said, doc->name);
			pk_str_add(said, "'\n");
		}
	c->docs = realloc(c->docs, (c->n_docs + 1) * sizeof(*c->docs));
	if (!c->docs)
		abort();
	c->docs[c->n_docs++] = doc;
}

/* The document, or what was wrong with it. */
static int took(struct pk_scenario *c, int r, struct pk_document *doc,
		const struct pk_doc_notes *notes, struct pk_str *said, struct pk_err *err)
{
	pk_doc_notes_text(notes, said);
	if (r < 0) {
		own_str line = { 0 };

		pk_doc_notes_line(notes, &line);
		return pk_fail(err, 0, "%s", line.text ? line.text : "document refused");
	}
	push_doc(c, doc, said);
	return 0;
}

int pk_scenario_add_file(struct pk_scenario *c, const char *path, struct pk_str *said,
			 struct pk_err *err)
{
	const char *source = c->file_source ? c->file_source : "file";
	const struct pk_doc_source src = { .source = source,
					   .path = path,
					   .tenant_name = pk_source_namespace(source),
					   .settings = &c->settings };
	struct pk_document *doc = NULL;
	own_notes notes = { 0 };
	own_mem char *text = NULL;
	size_t len;
	int r;

	r = pk_fs_read(path, POLICY_MAX, &text, &len, err);
	if (r < 0)
		return r;
	r = pk_document_parse(&src, text, len, &doc, &notes);
	return took(c, r, doc, &notes, said, err);
}

int pk_scenario_replace_file(struct pk_scenario *c, const char *path, size_t *index,
			     struct pk_str *said, struct pk_err *err)
{
	struct pk_document *doc;
	int r;

	c->replacing = true;
	r = pk_scenario_add_file(c, path, said, err);
	c->replacing = false;
	if (r < 0)
		return r;
	doc = c->docs[c->n_docs - 1];
	for (size_t i = 0; i + 1 < c->n_docs; i++) {
		if (strcmp(c->docs[i]->name, doc->name) != 0 ||
		    strcmp(c->docs[i]->source, doc->source) != 0)
			continue;
		pk_document_free(c->docs[i]);
		c->docs[i] = doc;
		c->n_docs--;
		*index = i;
		return 0;
	}
	*index = c->n_docs - 1;
	return 0;
}

void pk_scenario_drop(struct pk_scenario *c, size_t index)
{
	pk_document_free(c->docs[index]);
	memmove(&c->docs[index], &c->docs[index + 1], (--c->n_docs - index) * sizeof(*c->docs));
}

static int case_add_text(struct pk_scenario *c, const struct pk_doc_source *src, const char *text,
			 struct pk_str *said, struct pk_err *err)
{
	struct pk_document *doc = NULL;
	own_notes notes = { 0 };
	int r = pk_document_parse(src, text, strlen(text), &doc, &notes);

	return took(c, r, doc, &notes, said, err);
}

/* "A policy file's name is relative to the file." */
static int add_relative(struct pk_scenario *c, const char *name, struct pk_str *said,
			struct pk_err *err)
{
	own_mem char *copy = pk_strdup(c->path);
	own_str path = { 0 };

	if (name[0] != '/')
		pk_str_addf(&path, "%s/", dirname(copy));
	pk_str_add(&path, name);
	return pk_scenario_add_file(c, path.text, said, err);
}

static int add_inline(struct pk_scenario *c, const struct pk_json *v, size_t index,
		      struct pk_str *said, struct pk_err *err)
{
	struct pk_document *doc = NULL;
	own_notes notes = { 0 };
	char name[32];
	const struct pk_doc_source src = { .path = c->path,
					   .name = name,
					   .settings = &c->settings };
	int r;

	snprintf(name, sizeof(name), "policies[%zu]", index);
	r = pk_document_read(&src, c->json, v, &doc, &notes);
	return took(c, r, doc, &notes, said, err);
}

static int read_policies(struct pk_scenario *c, struct pk_str *said, struct pk_err *err)
{
	const struct pk_json *list = pk_json_get(pk_json_root(c->json), "policies");
	size_t index = 0;
	int r = 0;

	if (!list)
		return 0;
	if (pk_json_type(list) != PK_JSON_ARRAY)
		return pk_json_fail(err, c->json, list, false, "%s found, expected an array",
				    pk_json_type_name(pk_json_type(list)));
	for (const struct pk_json *v = pk_json_first(list); v && r == 0; v = pk_json_next(v)) {
		const char *name = pk_json_string(v);

		r = name ? add_relative(c, name, said, err) : add_inline(c, v, index, said, err);
		if (name && r < 0) {
			struct pk_json_where where;

			pk_json_where(c->json, v, false, &where);
			return pk_wrap(err, r, "%s:%d: %s", c->path, where.line, where.path);
		}
		index++;
	}
	return r;
}

static int read_settings(struct pk_scenario *c, struct pk_err *err)
{
	const struct pk_json *root = pk_json_root(c->json);
	int r = pk_settings_get(&c->settings, c->json, root, "baseline", err);

	if (r == 0)
		r = pk_settings_get(&c->settings, c->json, root, "resolvers", err);
	if (r == 0)
		r = pk_settings_get(&c->settings, c->json, root, "tenantReach", err);
	if (r == 0)
		r = pk_json_get_bool(c->json, root, "healthChecks", &c->settings.health_checks,
				     err);
	return r;
}

/* Suites that a program wrote may be larger than what people write. */
static int parse(struct pk_scenario *c, const char *text, size_t len, struct pk_err *err)
{
	unsigned int flags = PK_JSON_COMMENTS | (len > PK_JSON_MAX ? PK_JSON_RELAXED : 0);
	int r = pk_json_parse(c->path, text, len, flags, &c->json, err);

	if (r < 0)
		return r;
	if (pk_json_type(pk_json_root(c->json)) != PK_JSON_OBJECT)
		return pk_json_fail(err, c->json, pk_json_root(c->json), false,
				    "%s found, expected an object",
				    pk_json_type_name(pk_json_type(pk_json_root(c->json))));
	return 0;
}

int pk_scenario_read(const char *path, const char *text, size_t len, struct pk_scenario **out,
		     struct pk_str *said, struct pk_err *err)
{
	static const char *const keys[] = {
		"baseline", "resolvers", "tenantReach", "healthChecks", "endpoints",
		"policies", "expect",	 "$schema",	"description",	NULL
	};
	own_scenario *c = case_new(path);
	int r = parse(c, text, len, err);

	if (r == 0)
		r = pk_json_only(c->json, pk_json_root(c->json), keys, err);
	if (r == 0)
		r = read_settings(c, err);
	if (r == 0)
		r = scenario_read_endpoints(c, false, err);
	if (r == 0)
		r = read_policies(c, said, err);
	if (r < 0)
		return r;
	*out = PK_MOVE(c, NULL);
	return 0;
}

static int read_live_policies(struct pk_scenario *c, struct pk_str *said, struct pk_err *err)
{
	const struct pk_json *list = pk_json_get(pk_json_root(c->json), "policies");
	int r = 0;

	for (const struct pk_json *v = list ? pk_json_first(list) : NULL; v && r == 0;
	     v = pk_json_next(v)) {
		struct pk_doc_source src = { .settings = &c->settings };
		const char *text = NULL;

		r = pk_json_get_string(c->json, v, "source", &src.source, err);
		if (r == 0)
			r = pk_json_get_string(c->json, v, "name", &src.name, err);
		if (r == 0)
			r = pk_json_get_string(c->json, v, "path", &src.path, err);
		if (r == 0)
			r = pk_json_get_string(c->json, v, "text", &text, err);
		if (r < 0 || !text)
			continue;
		if (src.source)
			src.tenant_name = pk_source_namespace(src.source);
		r = case_add_text(c, &src, text, said, err);
	}
	return r;
}

int pk_scenario_live(const char *text, size_t len, struct pk_scenario **out, struct pk_str *said,
		     struct pk_err *err)
{
	own_scenario *c = case_new("the live node");
	int r = parse(c, text, len, err);

	c->live = true;
	if (r == 0)
		r = read_settings(c, err);
	if (r == 0)
		r = pk_settings_get(&c->settings, c->json, pk_json_root(c->json), "pools", err);
	if (r == 0)
		r = scenario_read_endpoints(c, true, err);
	if (r == 0)
		r = read_live_policies(c, said, err);
	if (r < 0)
		return r;
	*out = PK_MOVE(c, NULL);
	return 0;
}

int pk_scenario_adopt(struct pk_scenario *c, struct pk_scenario *live, struct pk_err *err)
{
	struct pk_document **docs;

	/* The live settings first, then whatever the file says. */
	pk_settings_done(&c->settings);
	c->settings = live->settings;
	pk_settings_init(&live->settings);
	if (read_settings(c, err) < 0)
		return -EINVAL;
	docs = calloc(c->n_docs + live->n_docs + 1, sizeof(*docs));
	if (!docs)
		abort();
	for (size_t i = 0; i < live->n_docs; i++)
		docs[i] = live->docs[i];
	for (size_t i = 0; i < c->n_docs; i++)
		docs[live->n_docs + i] = c->docs[i];
	free(c->docs);
	c->docs = docs;
	c->n_docs += live->n_docs;
	c->live = true;
	live->n_docs = 0;
	pk_asker_free(c->asker);
	c->asker = PK_MOVE(live->asker, NULL);
	pk_asker_set_settings(c->asker, &c->settings);
	return 0;
}

int pk_scenario_ready(struct pk_scenario *c, struct pk_err *err)
{
	pk_asker_set_settings(c->asker, &c->settings);
	pk_asker_set_documents(c->asker, c->docs, c->n_docs);
	return pk_asker_compile(c->asker, err);
}

static int by_address(const struct pk_scenario *c, const char *text, enum pk_party is,
		      struct pk_peer *out, struct pk_err *err)
{
	const struct pk_world *world = pk_asker_world(c->asker);

	*out = (struct pk_peer){ .party = is };
	if (pk_addr_parse(text, &out->address) < 0)
		return pk_fail(err, 0, "'%s' is not an address", text);
	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep))
		for (size_t i = 0; i < ep->n_addresses; i++)
			if (pk_addr_equal(&ep->addresses[i], &out->address)) {
				pk_fail(err, 0, "%s is the address of endpoint '%s'", text,
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
 * "acme/api/web 7f3a21c4…" by its whole name, whole parts of it from the left, or its alloc; another
 * node's is "acme/api/web NODE/7f3a21c4…".
 */
static bool is_meant(const char *key, const char *text)
{
	const char *space = strrchr(key, ' '), *slash = space ? strrchr(space, '/') : NULL;
	size_t n = strlen(text);

	if (n >= ALLOC_MIN && space && strncmp((slash ?: space) + 1, text, n) == 0)
		return true;
	return n && strncmp(key, text, n) == 0 && strchr(" /", key[n]);
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
	const struct pk_world_endpoint *found = NULL;
	struct pk_identity_ref first = { 0 }, other;

	if (is_entity(text))
		return -ENOENT; /* also where a tenant is called so */
	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep)) {
		if (!is_meant(ep->key, text))
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
	pk_fail(err, 0, "'%.100s' is no endpoint", text);
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
				      pk_fail(err, 0, "port '%.60s': '%.20s' is no protocol", text,
					      slash + 1),
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
	pk_fail(err, 0, "port '%.60s' is neither a number nor a port label of the destination",
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
		return pk_fail(err, 0, "'%.40s' is no protocol", text);
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
			return pk_fail(err, 0, "icmp '%.60s': the code is not 0..255", text);
	}
	if (pk_icmp_type(copy, v6, true, &type) < 0)
		return pk_fix(err,
			      pk_fail(err, 0, "icmp '%.60s' is no type of %s", text,
				      v6 ? "ICMPv6" : "ICMP"),
			      "a name like echo-request, TYPE or TYPE/CODE");
	*proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	*port = PK_PORT_ICMP(type, code);
	return 0;
}

void pk_scenario_side_text(const struct pk_scenario *c, const struct pk_judgement *j,
			   struct pk_str *out)
{
	const struct pk_rules *rules = pk_engine_rules(pk_asker_engine(c->asker));
	struct pk_rule_ref ref;

	pk_str_add(out, j->verdict == PK_ALLOW ? "allow, " : "deny, ");
	if (pk_rules_find(rules, j->rule, &ref) < 0)
		ref = (struct pk_rule_ref){ .number = j->rule };
	pk_rule_text(&ref, j->rank, out);
}
