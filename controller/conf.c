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

void pk_config_init(struct pk_config *c)
{
	memset(c, 0, sizeof(*c));
	pk_settings_init(&c->settings);
	strcpy(c->cluster, "default");
	c->nomad.on = true;
	strcpy(c->nomad.address[0], "http://127.0.0.1:4646");
	strcpy(c->consul.address[0], "http://127.0.0.1:8500");
	strcpy(c->consul_prefix, "picket");
	c->consul_status = true;
	c->policies_kv = true;
	c->flows_max_size = 256u << 20;
	c->flows_keep = 8;
	strcpy(c->flows_allowed, "none");
	for (size_t i = 0; i < conf_n_keys; i++)
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

/* Parts of a key in Consul, joined by slashes. */
static bool is_key_path(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._/";

	return *text && strspn(text, plain) == strlen(text) && *text != '/' &&
	       !strstr(text, "//") && text[strlen(text) - 1] != '/';
}

static bool is_listen(const char *text)
{
	union pk_addr addr;
	uint16_t port;

	return pk_config_listen(text, &addr, &port) == 0;
}

static int check_text(const struct conf_key *k, const char *text, const struct conf_place *at)
{
	const char *expected = NULL;

	if (k->kind == PATH && *text != '/')
		expected = "an absolute path";
	if (k->kind == KEY_PATH && !is_key_path(text))
		expected = "letters, digits, - . _ and / between them";
	if (k->kind == LISTEN && !is_listen(text))
		expected = "ADDRESS:PORT such as \"127.0.0.1:4680\" or \"[::1]:4680\"";
	if (!*text || !expected)
		return 0;
	return pk_json_fail(at->err, at->doc, at->value, false, "expected %s", expected);
}

static int put_text(char *to, const struct conf_key *k, const struct conf_place *at)
{
	const char *text = pk_json_string(at->value);

	if (k->null_ok && pk_json_type(at->value) == PK_JSON_NULL)
		text = "";
	else if (!text || !*text)
		return pk_json_fail(at->err, at->doc, at->value, false, "%s found, expected text",
				    text ? "an empty string"
					 : pk_json_type_name(pk_json_type(at->value)));
	if (strlen(text) >= k->room)
		return pk_json_fail(at->err, at->doc, at->value, false, "longer than %zu bytes",
				    k->room - 1);
	if (check_text(k, text, at) < 0)
		return -EINVAL;
	strcpy(to, text);
	return 0;
}

static int put_choice(char *to, const struct conf_key *k, const struct conf_place *at)
{
	own_str known = { 0 };
	const char *text = pk_json_string(at->value);

	for (int i = 0; k->choices[i]; i++) {
		if (text && strcmp(text, k->choices[i]) == 0) {
			strcpy(to, text);
			return 0;
		}
		pk_str_addf(&known, "%s\"%s\"", i ? ", " : "", k->choices[i]);
	}
	return pk_json_fail(at->err, at->doc, at->value, false, "expected one of %s", known.text);
}

static int put_size(uint64_t *to, const struct conf_place *at)
{
	const char *text = pk_json_string(at->value);
	int64_t n;

	if (text && pk_config_size(text, to) == 0)
		return *to >= 4096 ? 0
				   : pk_json_fail(at->err, at->doc, at->value, false,
						  "less than 4096 bytes");
	if (!text && pk_json_int(at->value, 4096, INT64_MAX >> 11, &n) == 0) {
		*to = (uint64_t)n;
		return 0;
	}
	return pk_json_fail(at->err, at->doc, at->value, false,
			    "expected bytes such as \"256MiB\" or 1048576");
}

static int not_built(const struct conf_place *at, const struct conf_key *k)
{
	if (pk_json_type(at->value) == PK_JSON_NULL)
		return 0;
	return pk_fix(
		at->err,
		pk_json_fail(at->err, at->doc, at->value, false, "this release cannot do that yet"),
		"remove \"%s\", or set it to null", k->name);
}

static int put(struct pk_config *c, const struct conf_key *k, const struct conf_place *at)
{
	char *to = (char *)c + k->offset;

	switch (k->kind) {
	case TEXT:
	case PATH:
	case KEY_PATH:
	case LISTEN:
		return put_text(to, k, at);
	case ADDRESS:
		return conf_put_addresses((char(*)[PK_CONFIG_NAME])to, at);
	case BOOL:
		return pk_json_get_bool(at->doc, at->section, k->name, (bool *)(void *)to, at->err);
	case INT:
		return pk_json_get_int(at->doc, at->section, k->name,
				       (struct pk_json_range){ 1, 1000 }, (int64_t *)(void *)to,
				       at->err);
	case SIZE:
		return put_size((uint64_t *)(void *)to, at);
	case CHOICE:
		return put_choice(to, k, at);
	case NOT_BUILT:
		return not_built(at, k);
	case SETTING:
	case TIMEOUT:
		/* Sections of settings are read from the top, where the getter looks for them. */
		return k->get(&c->settings, at->doc,
			      *k->section ? pk_json_root(at->doc) : at->section, at->err);
	}
	return -EINVAL;
}

static int check_keys(const struct conf_place *at, const char *section)
{
	const char *names[PK_CONFIG_KEYS_MAX + CONF_SECTIONS_MAX + 4];
	size_t n = 0;

	if (pk_json_type(at->section) != PK_JSON_OBJECT)
		return pk_json_fail(at->err, at->doc, at->section, false,
				    "%s found, expected an object",
				    pk_json_type_name(pk_json_type(at->section)));
	if (pk_json_get(at->section, "token"))
		return pk_fix(at->err,
			      pk_json_fail(at->err, at->doc, pk_json_get(at->section, "token"),
					   true, "a secret does not belong here"),
			      "put it into a file of mode 0600 and name that in \"tokenFile\"");
	for (size_t i = 0; i < conf_n_keys; i++)
		if (strcmp(conf_keys[i].section, section) == 0)
			names[n++] = conf_keys[i].name;
	if (!*section) {
		for (size_t i = 0; i < conf_n_sections; i++)
			names[n++] = conf_sections[i];
		names[n++] = "$schema";
	}
	if (strcmp(section, "blocks") == 0)
		names[n++] = "size";
	if (strcmp(section, "http") == 0) {
		names[n++] = "ui";
		names[n++] = "metrics";
	}
	names[n] = NULL;
	return pk_json_only(at->doc, at->section, names, at->err);
}

static int read_section(struct pk_config *c, const char *name, const char *section,
			struct conf_place at)
{
	int r = check_keys(&at, section);

	for (size_t i = 0; r == 0 && i < conf_n_keys; i++) {
		if (strcmp(conf_keys[i].section, section) != 0)
			continue;
		at.value = pk_json_get(at.section, conf_keys[i].name);
		if (!at.value)
			continue;
		r = put(c, &conf_keys[i], &at);
		snprintf(c->origin[i], sizeof(c->origin[i]), "%s", name);
	}
	return r;
}

/* "nomad": null and "consul": null switch the source off; an object switches it on. */
static bool is_off(struct pk_config *c, const char *section, const struct pk_json *v)
{
	bool off = pk_json_type(v) == PK_JSON_NULL;

	if (strcmp(section, "nomad") == 0) {
		c->nomad.on = !off;
		c->settings.has_nomad = !off;
		return off;
	}
	if (strcmp(section, "consul") == 0) {
		c->consul.on = !off;
		c->consul.said = true;
		return off;
	}
	return false;
}

/* "masquerade": false (or true) is short for its two families. */
static int read_short(struct pk_config *c, const char *name, const struct conf_place *at)
{
	int r = pk_settings_get_masquerade(&c->settings, at->doc, pk_json_root(at->doc), at->err);

	for (size_t i = 0; r == 0 && i < conf_n_keys; i++)
		if (strcmp(conf_keys[i].section, "masquerade") == 0 &&
		    strcmp(conf_keys[i].name, "ports") != 0)
			snprintf(c->origin[i], sizeof(c->origin[i]), "%s", name);
	return r;
}

static bool is_short(const char *section, const struct pk_json *v)
{
	return strcmp(section, "masquerade") == 0 && pk_json_type(v) == PK_JSON_BOOL;
}

int pk_config_parse(struct pk_config *c, const char *name, const char *text, size_t len,
		    struct pk_err *err)
{
	own_json *doc = NULL;
	int r = pk_json_parse(name, text, len, PK_JSON_COMMENTS, &doc, err);
	struct conf_place at = { .doc = doc, .err = err };

	if (r < 0)
		return r;
	at.section = pk_json_root(doc);
	r = read_section(c, name, "", at);
	for (size_t i = 0; r == 0 && i < conf_n_sections; i++) {
		at.section = pk_json_get(pk_json_root(doc), conf_sections[i]);
		if (!at.section || is_off(c, conf_sections[i], at.section))
			continue;
		r = is_short(conf_sections[i], at.section)
			    ? read_short(c, name, &at)
			    : read_section(c, name, conf_sections[i], at);
	}
	return r;
}

static int read_file(struct pk_config *c, const char *path, struct pk_err *err)
{
	own_mem char *text = NULL;
	own_str files = { 0 };
	size_t len;
	int r = pk_fs_read(path, PK_JSON_MAX, &text, &len, err);

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
	i = conf_key_at(section, dot ? dot + 1 : key);
	snprintf(c->origin[i], sizeof(c->origin[i]), "%s", origin);
}

static int finish(struct pk_config *c, const struct pk_config_args *args, struct pk_err *err)
{
	int r;

	if (args->root) {
		if (strlen(args->root) >= sizeof(c->root))
			return pk_fail(err, ENAMETOOLONG, "root");
		strcpy(c->root, args->root);
		strcpy(c->origin[conf_key_at("", "root")], "-root");
	}
	r = pk_paths_init(&c->paths, c->root, err);
	if (r < 0)
		return r;
	if (!*c->policies_dir)
		strcpy(c->policies_dir, c->paths.policies_d);
	if (strcmp(c->origin[conf_key_at("flows", "file")], "default") == 0)
		snprintf(c->flows_file, sizeof(c->flows_file), "%.250s/var/log/picket/flows.jsonl",
			 c->paths.root);
	r = conf_environment(c, args, err);
	return r < 0 ? r : conf_check_services(c, err);
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
			return pk_fail(err, errno, "%s", path);
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
