/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "addr_json.h"
#include "conf_private.h"
#include "own.h"

#define ROOM(member) sizeof(((struct pk_config *)0)->member)
#define AT(name, form, member, help)                                                               \
	{ name, &(form), help, false, offsetof(struct pk_config, member) }
#define WHOLE(name, form, help)	   { name, &(form), help, false, 0 }
#define SETTINGS(name, form, help) AT(name, form, settings, help)
#define END			   { .name = NULL }
/* A key whose value is text of that format; null stands for the default "none". */
#define TEXT(name_, member, format_, null_)                                                        \
	static const struct pk_schema name_ = {                                                    \
		.form = PK_FORM_STRING,                                                            \
		.format = (format_),                                                               \
		.not_empty = true,                                                                 \
		.null_ok = (null_),                                                                \
		.kept = &pk_kept_text,                                                             \
		.room = ROOM(member),                                                              \
	}

/* Takes parts of a key in Consul, joined by slashes. */
static bool is_key_path(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._/";

	return *text && strspn(text, plain) == strlen(text) && *text != '/' &&
	       !strstr(text, "//") && text[strlen(text) - 1] != '/';
}
static const struct pk_format key_path_format = {
	.expected = "letters, digits, - . _ and / between them",
	.pattern = "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$",
	.fits = is_key_path,
};

static bool is_listen(const char *text)
{
	union pk_addr addr;
	uint16_t port;

	return pk_config_listen(text, &addr, &port) == 0;
}
static const struct pk_format listen_format = {
	.expected = "ADDRESS:PORT such as \"127.0.0.1:4680\" or \"[::1]:4680\"",
	.pattern = "^([0-9.]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$",
	.fits = is_listen,
};

#define SIZE_MIN 4096
static bool is_size(const char *text)
{
	uint64_t bytes;

	return pk_config_size(text, &bytes) == 0 && bytes >= SIZE_MIN;
}
static const struct pk_format size_format = {
	.expected = "4096 bytes or more, such as \"256MiB\" or 1048576",
	.pattern = "^[0-9]+(B|kB|MB|GB|KiB|MiB|GiB)?$",
	.fits = is_size,
};

static int read_size(const struct pk_schema *s, const struct pk_json_doc *doc,
		     const struct pk_json *v, void *at, struct pk_err *err)
{
	int64_t n = 0;

	(void)doc, (void)err;
	if (pk_json_string(v))
		return pk_config_size(pk_json_string(v), at);
	pk_json_int(v, s->lo, s->hi, &n);
	*(uint64_t *)at = (uint64_t)n;
	return 0;
}

static void write_size(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	(void)s;
	pk_jw_uint(w, key, *(const uint64_t *)at);
}
static const struct pk_kept kept_size = { read_size, write_size };

static const struct pk_schema refused_token = {
	.form = PK_FORM_REFUSED,
	.why = "a secret does not belong here",
	.fix = "put it into a file of mode 0600 and name that in \"tokenFile\"",
};

/* The keys at the top. */
TEXT(root, root, &pk_format_path, true);
TEXT(cluster, cluster, &key_path_format, false);
TEXT(path, conflist, &pk_format_path, true);
TEXT(cgroup, settings.cgroup, &pk_format_path, true);
TEXT(own_name, node, NULL, true);
static const char *const fabric_words[] = { PK_FABRIC_NONE, PK_FABRIC_ROUTED, PK_FABRIC_VXLAN,
					    NULL };
static const struct pk_format fabric_format = {
	.expected = "\"none\", \"routed\" or \"vxlan\"",
	.words = fabric_words,
};
static const struct pk_schema_key vxlan_keys[] = { PK_VXLAN_KEYS, END };
static const struct pk_schema vxlan = { .form = PK_FORM_OBJECT, .keys = vxlan_keys };
TEXT(fabric, fabric, &fabric_format, false);
static const char *const store_words[] = { PK_STORE_CONSUL, PK_STORE_NOMAD, NULL };
static const struct pk_format store_format = { .expected = "\"consul\" or \"nomad\"",
					       .words = store_words };
TEXT(store, store, &store_format, false);

static bool is_namespace(const char *text)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

	return strspn(text, plain) == strlen(text);
}
static const struct pk_format namespace_format = {
	.expected = "a namespace of Nomad's: letters, digits and -",
	.pattern = "^[a-zA-Z0-9-]+$",
	.fits = is_namespace,
};
static const struct pk_schema any_text = { .form = PK_FORM_STRING };

/* The keys that say how Nomad and Consul are reached. */
TEXT(node, nomad_node, NULL, true);
TEXT(name_at, nomad.server_name, NULL, true);
TEXT(store_namespace, store_namespace, &namespace_format, false);
TEXT(prefix, consul_prefix, &key_path_format, false);
#define SERVICE(s)                                                                                 \
	AT("address", conf_form_addresses, s.address, "one, or several that are asked in turn"),   \
		AT("tokenFile", path, s.token_file,                                                \
		   "a file of mode 0600; read again when it changes"),                             \
		AT("caFile", path, s.ca_file, "PEM; absent: the system's"),                        \
		AT("certFile", path, s.cert_file, "the client's own certificate"),                 \
		AT("keyFile", path, s.key_file, "and its key"),                                    \
		AT("serverName", name_at, s.server_name, "that the server's certificate is for"),  \
		WHOLE("token", refused_token, NULL)
static const struct pk_schema_key nomad_keys[] = {
	SERVICE(nomad),
	AT("node", node, nomad_node, "name or id; absent: this host's name"),
	AT("region", name_at, nomad.region, "absent: the agent's own"),
	AT("storeNamespace", store_namespace, store_namespace,
	   "of the variables of operators and nodes (\"store\": \"nomad\")"),
	AT("status", pk_form_bool, vars_status,
	   "say in such variables what became of documents, and which are in force"),
	END,
};
static const struct pk_schema_key consul_keys[] = {
	SERVICE(consul),
	AT("namespace", name_at, consul.namespace, "Enterprise; absent: the token's"),
	AT("partition", name_at, consul.partition, "Enterprise; absent: the agent's"),
	AT("prefix", prefix, consul_prefix, "of every key that Picket reads or writes"),
	AT("status", pk_form_bool, consul_status,
	   "say there what became of documents, and which are in force"),
	END,
};
/* null means that the source is not asked. */
static const struct pk_schema nomad = { .form = PK_FORM_OBJECT,
					.keys = nomad_keys,
					.null_ok = true };
static const struct pk_schema consul = { .form = PK_FORM_OBJECT,
					 .keys = consul_keys,
					 .null_ok = true };

/* The keys that say where policies come from, and where flows go. */
TEXT(directory, policies_dir, &pk_format_path, false);
static const struct pk_schema_key policies_keys[] = {
	AT("directory", directory, policies_dir, "of the operator's documents"),
	AT("kv", pk_form_bool, policies_kv, "documents of Consul count; false withdraws them"),
	END,
};
static const struct pk_schema policies = { .form = PK_FORM_OBJECT, .keys = policies_keys };

static const char *const allowed_words[] = { "none", "new", NULL };
static const struct pk_format allowed_format = { .expected = "\"none\" or \"new\"",
						 .words = allowed_words };
TEXT(flows_file, flows_file, &pk_format_path, true);
TEXT(allowed, flows_allowed, &allowed_format, false);
static const struct pk_schema max_size = {
	.form = PK_FORM_WORD,
	.format = &size_format,
	.lo = SIZE_MIN,
	.hi = INT64_MAX >> 11,
	.kept = &kept_size,
};
static const struct pk_schema keep = {
	.form = PK_FORM_INT, .lo = 1, .hi = 1000, .kept = &pk_kept_i64
};
static const struct pk_schema_key flows_keys[] = {
	AT("file", flows_file, flows_file, "null: none is written"),
	AT("maxSize", max_size, flows_max_size, "of one file"),
	AT("keep", keep, flows_keep, "files"),
	AT("allowed", allowed, flows_allowed, "whether new allowed flows are written, too"),
	AT("closed", pk_form_bool, flows_closed,
	   "whether flows that ended are, with what was sent"),
	END,
};
static const struct pk_schema flows = { .form = PK_FORM_OBJECT, .keys = flows_keys };

/* Reads a list of prefixes; one of length 0 ends it. */
static int read_range(const struct pk_schema *s, const struct pk_json_doc *doc,
		      const struct pk_json *v, void *at, struct pk_err *err)
{
	struct pk_prefix *to = at;

	memset(to, 0, PK_CONFIG_PREFIXES * sizeof(*to));
	for (const struct pk_json *e = pk_json_first(v); e; e = pk_json_next(e)) {
		pk_prefix_parse(pk_json_string(e), to);
		if (!to++->len)
			return pk_json_fail(err, doc, e, false, "that is all there is");
	}
	(void)s;
	return 0;
}

static void write_range(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	const struct pk_prefix *list = at;
	size_t n = 0;

	(void)s;
	while (n < PK_CONFIG_PREFIXES && list[n].len)
		n++;
	if (n)
		pk_prefixes_write(w, key, list, n);
	else
		pk_jw_null(w, key);
}
static const struct pk_kept kept_range = { read_range, write_range };
static const struct pk_schema range_item = { .form = PK_FORM_STRING, .format = &pk_format_prefix };
static const struct pk_schema range = {
	.form = PK_FORM_LIST,
	.item = &range_item,
	.most = PK_CONFIG_PREFIXES,
	.null_ok = true,
	.kept = &kept_range,
};
static const struct pk_schema block_len = {
	.form = PK_FORM_INT, .lo = 8, .hi = 29, .kept = &pk_kept_u32, .usual = "24"
};
static const struct pk_schema block_len6 = {
	.form = PK_FORM_INT, .lo = 32, .hi = 64, .kept = &pk_kept_u32, .usual = "64"
};
static const struct pk_schema_key blocks_keys[] = {
	AT("range", range, range,
	   "in which the blocks of all nodes lie; null: no other node's is believed"),
	AT("claim", pk_form_bool, claim,
	   "this node claims its blocks in Consul, and no conflist names a pool"),
	AT("size", block_len, block_len, "prefix length of a claimed IPv4 block"),
	AT("size6", block_len6, block_len6, "and of an IPv6 one"),
	END,
};
static const struct pk_schema blocks = { .form = PK_FORM_OBJECT, .keys = blocks_keys };

TEXT(listen_on, http_listen, &listen_format, true);
static const struct pk_schema_key http_keys[] = {
	AT("listen", listen_on, http_listen, "of /metrics and /v1/health; null: the socket alone"),
	WHOLE("ui", pk_form_any, NULL),
	WHOLE("metrics", pk_form_any, NULL),
	END,
};
static const struct pk_schema http = { .form = PK_FORM_OBJECT, .keys = http_keys };

static const struct pk_schema_key keys[] = {
	WHOLE("$schema", any_text, "for editors"),
	AT("root", root, root, "below which all files of Picket are; null: /"),
	AT("cluster", cluster, cluster, "of the nodes that share a Consul"),
	AT("node", own_name, node,
	   "this node's name among them; null: nomad's node, else the host's"),
	AT("fabric", fabric, fabric,
	   "how packets come to other nodes' endpoints; none: not at all"),
	AT("vxlan", vxlan, settings.vxlan, "of the fabric of that name"),
	SETTINGS("baseline", pk_form_baseline, "what holds where no policy says more"),
	SETTINGS("pools", pk_form_pools, "the cluster's endpoint prefixes; null: the conflist's"),
	SETTINGS("tenantReach", pk_form_reach,
		 "what tenants' own policies may open beside their peers"),
	SETTINGS("services", pk_form_services,
		 "that run outside of the pools: where instances of each may lie"),
	AT("healthChecks", pk_form_bool, settings.health_checks,
	   "the node may ask the ports of jobs' checks"),
	SETTINGS("resolvers", pk_form_resolvers, "null: the conflist's, or resolv.conf's"),
	AT("conflist", path, conflist, "null: each in CNI's directory that has our plugin"),
	AT("uplinks", pk_form_uplinks_or_null, settings.uplinks,
	   "null: the devices of the default routes"),
	AT("cgroup", cgroup, settings.cgroup, "whose processes reach published ports; null: none"),
	WHOLE("nomad", nomad, "null: there is none, job and group are believed"),
	WHOLE("consul", consul, "null: not asked; its documents are withdrawn"),
	AT("store", store, store,
	   "where nodes share endpoints and operators policies: Consul's KV, or Nomad's Variables"),
	WHOLE("policies", policies, NULL),
	AT("masquerade", pk_form_masquerade, settings.masquerade,
	   "false: endpoints leave with their own addresses"),
	WHOLE("blocks", blocks, NULL),
	WHOLE("http", http, NULL),
	WHOLE("flows", flows, NULL),
	SETTINGS("capacity", pk_form_capacity, NULL),
	SETTINGS("limits", pk_form_limits, NULL),
	SETTINGS("timeouts", pk_form_timeouts, "how long a flow lives without a packet"),
	END,
};
const struct pk_schema conf_form = { .form = PK_FORM_OBJECT, .keys = keys };

const struct pk_schema *conf_section(const struct pk_schema_key *top)
{
	const struct pk_schema *form = top->form;

	if (form->form == PK_FORM_EITHER)
		form = form->other;
	return form->form == PK_FORM_OBJECT ? form : NULL;
}

/* Goes to the next key of the table, whether its value is kept or not. */
static bool step(struct conf_spot *spot)
{
	const struct pk_schema *section;

	if (spot->inner && spot->inner[1].name) {
		spot->inner++;
		return true;
	}
	spot->top = spot->top ? spot->top + 1 : keys;
	section = spot->top->name ? conf_section(spot->top) : NULL;
	spot->inner = section ? section->keys : NULL;
	return spot->top->name;
}

bool conf_next(struct conf_spot *spot)
{
	bool first = !spot->top;

	while (step(spot)) {
		spot->key = spot->inner ? *spot->inner : *spot->top;
		if (!spot->key.form->kept)
			continue;
		spot->section = spot->inner ? spot->top->name : "";
		spot->key.at += spot->inner ? spot->top->at : 0;
		spot->i = first ? 0 : spot->i + 1;
		if (spot->i == PK_CONFIG_KEYS_MAX) /* a slip in the table above */
			abort();
		return true;
	}
	return false;
}

struct conf_spot conf_find(const char *section, const char *name)
{
	struct conf_spot spot = { 0 };

	while (conf_next(&spot))
		if (strcmp(spot.section, section) == 0 && strcmp(spot.key.name, name) == 0)
			return spot;
	abort();
}

void pk_config_schema(struct pk_str *out)
{
	pk_schema_print(&conf_form, "picketd.json", out);
}

void pk_config_keys(struct pk_str *out)
{
	struct conf_spot spot = { 0 };

	while (conf_next(&spot))
		pk_str_addf(out, "%s%s%s\n", spot.section, *spot.section ? "." : "", spot.key.name);
}
