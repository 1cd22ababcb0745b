/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_private.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs.h"
#include "own.h"
#include "probe.h"

void pk_config_init(struct pk_config *c)
{
	memset(c, 0, sizeof(*c));
	pk_settings_init(&c->settings);
	strcpy(c->cluster, "default");
	strcpy(c->fabric, PK_FABRIC_NONE);
	c->block_len = 24;
	c->block_len6 = 64;
	c->nomad.on = true;
	strcpy(c->nomad.address[0], "http://127.0.0.1:4646");
	strcpy(c->consul.address[0], "http://127.0.0.1:8500");
	strcpy(c->consul_prefix, "picket");
	strcpy(c->store, PK_STORE_CONSUL);
	strcpy(c->store_namespace, "default");
	c->consul_status = c->vars_status = true;
	c->policies_kv = true;
	c->flows_max_size = 256u << 20;
	c->flows_keep = 8;
	strcpy(c->flows_allowed, "none");
	for (size_t i = 0; i < PK_CONFIG_KEYS_MAX; i++)
		strcpy(c->origin[i], "default");
}

void pk_config_done(struct pk_config *c)
{
	pk_settings_done(&c->settings);
	free(PK_MOVE(c->files, NULL));
	explicit_bzero(c->nomad.token, sizeof(c->nomad.token));
	explicit_bzero(c->consul.token, sizeof(c->consul.token));
}

int pk_config_size(const char *text, uint64_t *out)
{
	static const struct {
		const char *unit;
		uint64_t bytes;
	} units[] = { { "", 1 },
		      { "B", 1 },
		      { "kB", 1000 },
		      { "MB", 1000000 },
		      { "GB", 1000000000u },
		      { "KiB", 1u << 10 },
		      { "MiB", 1u << 20 },
		      { "GiB", 1u << 30 } };
	size_t digits = strspn(text, "0123456789");
	char number[24];
	uint64_t n;

	if (digits == 0 || digits >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, digits);
	number[digits] = '\0';
	for (size_t i = 0; i < PK_ARRAY_LEN(units); i++) {
		if (strcmp(text + digits, units[i].unit) != 0)
			continue;
		if (pk_parse_u64(number, UINT64_MAX / units[i].bytes, &n) < 0)
			return -EINVAL;
		*out = n * units[i].bytes;
		return 0;
	}
	return -EINVAL;
}

int pk_config_listen(const char *text, union pk_addr *addr, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	char host[PK_ADDR_TEXT];
	uint64_t number;
	size_t n = colon ? (size_t)(colon - text) : 0;

	if (n == 0 || n >= sizeof(host) || pk_parse_u64(colon + 1, UINT16_MAX, &number) < 0 ||
	    number == 0)
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	*port = (uint16_t)number;
	if (host[0] != '[')
		return pk_addr_parse(host, addr) == 0 && pk_addr_is4(addr) ? 0 : -EINVAL;
	if (host[n - 1] != ']')
		return -EINVAL;
	host[n - 1] = '\0';
	return pk_addr_parse(host + 1, addr) == 0 && !pk_addr_is4(addr) ? 0 : -EINVAL;
}

/* "nomad": null and "consul": null switch the source off; an object switches it on. */
static void switch_source(struct pk_config *c, const char *section, bool on)
{
	if (strcmp(section, "nomad") == 0)
		c->nomad.on = c->settings.has_nomad = on;
	if (strcmp(section, "consul") == 0) {
		c->consul.on = on;
		c->consul.said = true;
	}
}

/* Returns whether a file says the key. "masquerade": true or false says both families. */
static bool is_said(const struct conf_spot *spot, const struct pk_json *value)
{
	if (pk_json_type(value) == PK_JSON_BOOL)
		return strcmp(spot->key.name, "ports") != 0;
	return pk_json_get(value, spot->key.name);
}

static void note_origin(struct pk_config *c, const char *name, const struct pk_json *member)
{
	struct conf_spot spot = { 0 };

	while (conf_next(&spot)) {
		bool top = !*spot.section && strcmp(spot.key.name, pk_json_key(member)) == 0;
		bool inner =
			strcmp(spot.section, pk_json_key(member)) == 0 && is_said(&spot, member);

		if (top || inner)
			snprintf(c->origin[spot.i], sizeof(c->origin[0]), "%s", name);
	}
}

static int read_object(struct pk_config *c, const char *name, const struct pk_json_doc *doc,
		       struct pk_err *err)
{
	const struct pk_json *root = pk_json_root(doc);

	if (pk_json_type(root) != PK_JSON_OBJECT)
		return pk_json_fail(err, doc, root, false, "found %s, expected an object",
				    pk_json_type_name(pk_json_type(root)));
	for (const struct pk_json *m = pk_json_first(root); m; m = pk_json_next(m)) {
		int r = pk_schema_read_member(&conf_form, doc, m, c, err);

		if (r < 0)
			return r;
		switch_source(c, pk_json_key(m), pk_json_type(m) != PK_JSON_NULL);
		note_origin(c, name, m);
	}
	return 0;
}

int pk_config_parse(struct pk_config *c, const char *name, const char *text, size_t len,
		    struct pk_err *err)
{
	own_json *doc = NULL;
	int r = pk_json_parse(name, text, len, PK_JSON_COMMENTS, &doc, err);

	return r < 0 ? r : read_object(c, name, doc, err);
}

static int read_file(struct pk_config *c, const char *path, struct pk_err *err)
{
	own_mem char *text = NULL;
	own_str files = { 0 };
	size_t len;
	int r = pk_fs_read_own(path, PK_JSON_MAX, &text, &len, err);

	if (r < 0)
		return r;
	pk_str_addf(&files, "%s%s\n", c->files ?: "", path);
	free(c->files);
	c->files = pk_str_take(&files);
	return pk_config_parse(c, path, text, len, err);
}

static int is_json(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 5 && strcmp(e->d_name + n - 5, ".json") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_dir(struct pk_config *c, const char *path, struct pk_err *err)
{
	struct dirent **list;
	int n = scandir(path, &list, is_json, by_bytes), r = 0;

	if (n < 0)
		return pk_fail(err, errno, "read directory %s", path);
	for (int i = 0; i < n; i++) {
		char file[PK_PATH_ROOM + 256];

		snprintf(file, sizeof(file), "%s/%s", path, list[i]->d_name);
		if (r == 0)
			r = read_file(c, file, err);
		free(list[i]);
	}
	free(list);
	return r;
}

void pk_config_origin(struct pk_config *c, const char *key, const char *origin)
{
	const char *dot = strchr(key, '.');
	char section[32] = "";
	size_t i;

	if (dot)
		snprintf(section, sizeof(section), "%.*s", (int)(dot - key), key);
	i = conf_find(section, dot ? dot + 1 : key).i;
	snprintf(c->origin[i], sizeof(c->origin[i]), "%s", origin);
}

/* Checks that every prefix of the range holds at least one block of the size that is claimed. */
static int check_blocks(struct pk_config *c, struct pk_err *err)
{
	char text[PK_ADDR_TEXT];

	if (!c->claim)
		return 0;
	if (!c->range->len)
		return pk_fix(err, pk_fail(err, 0, "blocks.claim without \"range\""),
			      "\"blocks\": { \"range\": [\"10.64.0.0/12\"], \"claim\": true }");
	if (c->settings.pools_given)
		return pk_fix(err, pk_fail(err, 0, "\"pools\" beside blocks.claim"),
			      "say one of them: pools are the node's own, blocks are claimed");
	for (const struct pk_prefix *p = c->range; p < c->range + PK_CONFIG_PREFIXES; p++) {
		unsigned int len = p->v6 ? c->block_len6 : c->block_len;

		if (p->len > len)
			return pk_fix(err,
				      pk_fail(err, 0, "a block of /%u is larger than the range %s",
					      len, pk_prefix_format(p, text)),
				      "widen \"range\", or say a longer \"%s\"",
				      p->v6 ? "size6" : "size");
	}
	c->settings.claimed = c->settings.pools_given = true;
	return 0;
}

/*
 * Refuses an overlay's port among those of masquerading: an answer to such a flow would be taken
 * for a packet of the overlay.
 */
static int check_fabric(struct pk_config *c, struct pk_err *err)
{
	const struct pk_masquerade *m = &c->settings.masquerade;
	struct pk_vxlan *v = &c->settings.vxlan;
	char ports[16];

	v->on = strcmp(c->fabric, PK_FABRIC_VXLAN) == 0;
	if (!v->on)
		return 0;
	if (v->port >= m->low && v->port <= m->high)
		pk_fail(err, 0, "vxlan.port %u is among masquerade.ports %s", v->port,
			pk_masquerade_ports(m, ports));
	else if (v->port == PK_PROBE_PORT)
		pk_fail(err, 0, "vxlan.port %u is where nodes ask whether another one is there",
			v->port);
	else
		return 0;
	return pk_fix(err, -EINVAL, "say another \"port\" in \"vxlan\", the same on every node");
}

static int check_store(const struct pk_config *c, struct pk_err *err)
{
	if (!pk_config_is_vars(c) || c->nomad.on)
		return 0;
	return pk_fix(err, pk_fail(err, 0, "\"store\" is \"nomad\", and \"nomad\" is null"),
		      "say where Nomad is, or take \"store\" back");
}

static int finish(struct pk_config *c, const struct pk_config_args *args, struct pk_err *err)
{
	int r;

	if (args->root) {
		if (strlen(args->root) >= sizeof(c->root))
			return pk_fail(err, ENAMETOOLONG, "root");
		strcpy(c->root, args->root);
		strcpy(c->origin[conf_find("", "root").i], "-root");
	}
	r = pk_paths_init(&c->paths, c->root, err);
	if (r < 0)
		return r;
	if (!*c->policies_dir)
		strcpy(c->policies_dir, c->paths.policies_d);
	if (strcmp(c->origin[conf_find("flows", "file").i], "default") == 0)
		snprintf(c->flows_file, sizeof(c->flows_file), "%.250s/var/log/picket/flows.jsonl",
			 c->paths.root);
	r = conf_environment(c, args, err);
	if (r == 0)
		r = conf_check_services(c, err);
	if (r == 0)
		r = check_fabric(c, err);
	if (r == 0)
		r = check_store(c, err);
	return r < 0 ? r : check_blocks(c, err);
}

static int load(struct pk_config *c, const struct pk_config_args *args, struct pk_err *err)
{
	struct pk_paths usual;
	const char *path = args->path;
	struct stat st;
	int r = pk_paths_init(&usual, args->root ?: "", err);

	if (r < 0)
		return r;
	if (!path)
		path = usual.config;
	if (stat(path, &st) < 0) {
		if (args->path || errno != ENOENT)
			return pk_fix(err, pk_fail(err, errno, "%s", path),
				      "name a file or a directory that is there by -config");
	} else {
		c->from_directory = S_ISDIR(st.st_mode);
		r = c->from_directory ? read_dir(c, path, err) : read_file(c, path, err);
	}
	return r < 0 ? r : finish(c, args, err);
}

int pk_config_load(struct pk_config *c, const struct pk_config_args *args, struct pk_err *err)
{
	int r;

	pk_config_init(c);
	r = load(c, args, err);
	if (r < 0)
		pk_config_done(c);
	return r;
}
