/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the plugin's configuration of the command line and a conflist. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "attach.h"
#include "conflist.h"
#include "declared.h"
#include "doc.h"

/* Refuses a value with control characters, which a terminal wouldn't show. */
static int check_value(const char *label, const char *value, struct pk_err *err)
{
	own_str safe = { 0 };

	pk_str_add_escaped(&safe, value);
	if (safe.text && strcmp(safe.text, value) == 0)
		return 0;
	return pk_fail(err, EINVAL, "-label %.40s: empty, or a control character in its value",
		       label);
}

static int add_label(struct pk_label_set *set, const char *text, struct pk_err *err)
{
	const char *value = strchr(text, '=');
	own_mem char *word = value ? strndup(text, (size_t)(value - text)) : NULL;
	own_mem char *key = NULL;
	int r;

	if (!word)
		return pk_fix(err, pk_fail(err, 0, "-label \"%.80s\" has no value", text),
			      "say it as -label tier=db");
	r = pk_doc_label_key(word, &key, err);
	if (r == 0 && (!pk_declared_key(key) || !strcmp(key, "nomad:namespace"))) {
		r = pk_fail(err, 0, "-label %.80s: not an operator's to give", word);
		pk_fix(err, r, "job, group and keys of your own are; the namespace is -tenant");
	}
	if (r == 0)
		r = check_value(text, value + 1, err);
	if (r == 0)
		pk_label_set_add(set, key, value + 1);
	return r;
}

int attach_declared(const struct cli *cli, struct pk_label_set **out, struct pk_err *err)
{
	const char *tenant = cli_get(cli, "tenant"), *label;
	own_labels *set = pk_label_set_new();
	int r = 0;

	if (!tenant && cli_has(cli, "label"))
		return pk_fix(err, pk_fail(err, 0, "-label without -tenant"),
			      "what has no tenant is in quarantine, and has no labels");
	if (tenant)
		pk_label_set_add(set, "nomad:namespace", tenant);
	else
		pk_label_set_add(set, "reserved:init", "");
	for (size_t i = 0; (label = cli_nth(cli, "label", i)) && r == 0; i++)
		r = add_label(set, label, err);
	if (r == 0)
		r = pk_label_set_finish(set, err);
	return r == 0 ? pk_declared_parse(set->text, out, err) : r;
}

/* The conflist that was found, and how many there are where nobody said which one is meant. */
struct choice {
	const struct cli *cli;
	struct pk_conflist list;
	unsigned int n;
};

static void choose(void *arg, const char *path)
{
	const struct choice *c = arg;
	struct choice *to = arg;
	const char *network = cli_get(c->cli, "network");
	own_conflist list = { 0 };

	if ((network && c->n) || pk_conflist_read(path, &list, NULL) < 0 ||
	    !pk_conflist_plugin_of(&list, c->cli->paths.root) ||
	    (network && strcmp(network, list.name) != 0))
		return;
	if (to->n++ == 0)
		to->list = PK_MOVE(list, (struct pk_conflist){ 0 });
}

static int find_list(const struct cli *cli, struct pk_conflist *list, struct pk_err *err)
{
	const char *file = cli_get(cli, "conflist"), *network = cli_get(cli, "network");
	struct choice choice = { .cli = cli };
	char dir[PK_PATH_ROOM];

	if (file && network)
		return pk_fail(err, EINVAL, "-conflist beside -network");
	if (file)
		return pk_conflist_read(file, list, err);
	snprintf(dir, sizeof(dir), "%s/" PK_CONFLIST_DIR, cli->paths.root);
	pk_conflist_each(dir, choose, &choice);
	*list = choice.list;
	if (choice.n == 1)
		return 0;
	if (!choice.n) {
		pk_fail(err, 0, "no network %s%s%sof type picket in %s", network ? "called " : "",
			network ?: "", network ? " " : "", dir);
		return pk_fix(err, -ENOENT, "put examples/picket.conflist there, or say -conflist");
	}
	pk_fail(err, 0, "%u networks of type picket in %s", choice.n, dir);
	return pk_fix(err, -EINVAL, "say which by -network");
}

/*
 * Finds the conflist's plugin of type picket. Only that one is run: running a chain is a runtime's
 * work.
 */
static int the_plugin(const struct cli *cli, const struct pk_conflist *list,
		      const struct pk_json **out, struct pk_err *err)
{
	const struct pk_json *plugins = pk_json_get(pk_json_root(list->doc), "plugins");

	*out = pk_conflist_plugin_of(list, cli->paths.root);
	if (!*out) {
		pk_fail(err, 0, "network \"%.80s\" has no plugin of ours with root %s", list->name,
			*cli->paths.root ? cli->paths.root : "/");
		return pk_fix(err, -EINVAL, "say -root as its \"root\" is");
	}
	if (plugins && pk_json_count(plugins) > 1) {
		pk_fail(err, 0, "network \"%.80s\" is a chain of plugins", list->name);
		return pk_fix(err, -EINVAL, "say -conflist FILE with no plugin beside it");
	}
	return 0;
}

static bool is_one_of(const char *word, const char *const *list)
{
	while (*list && strcmp(word, *list) != 0)
		list++;
	return *list;
}

/* Returns whether an option replaces this member of the plugin's configuration. */
static bool is_replaced(const struct cli *cli, const char *key)
{
	static const char *const always[] = { "cniVersion", "name", "runtimeConfig", NULL };
	static const char *const mode[] = { "mode", "attach", NULL };

	return is_one_of(key, always) || (cli_has(cli, "mode") && is_one_of(key, mode)) ||
	       (cli_has(cli, "mtu") && !strcmp(key, "mtu")) ||
	       (cli_has(cli, "address") && !strcmp(key, "allowJobArgs"));
}

static int put_mode(const struct cli *cli, struct pk_jw *w, struct pk_err *err)
{
	static const char *const modes[] = { "vm", "process", "host-tap", NULL };
	const char *mode = cli_get(cli, "mode");

	if (!mode)
		return 0;
	if (!is_one_of(mode, modes))
		return pk_fail(err, EINVAL, "-mode \"%.20s\" is none of vm, process, host-tap",
			       mode);
	pk_jw_string(w, "mode", strcmp(mode, "process") ? "vm" : mode);
	if (!strcmp(mode, "host-tap"))
		pk_jw_string(w, "attach", mode);
	return 0;
}

static int put_mtu(const struct cli *cli, struct pk_jw *w, struct pk_err *err)
{
	const char *text = cli_get(cli, "mtu");
	uint64_t mtu;

	if (!text)
		return 0;
	if (pk_parse_u64(text, 65535, &mtu) < 0)
		return pk_fail(err, EINVAL, "-mtu \"%.20s\" is no MTU", text);
	pk_jw_uint(w, "mtu", mtu);
	return 0;
}

/* Writes HOST:GUEST, with /tcp or /udp behind. The plugin judges it. */
static int put_mapping(struct pk_jw *w, const char *text, struct pk_err *err)
{
	const char *colon = strchr(text, ':'), *slash = strchr(text, '/');
	const size_t end = slash ? (size_t)(slash - text) : strlen(text);
	char host[8], guest[8];
	uint64_t from, to;

	if (!colon || (slash && slash < colon) || colon - text > 5 || text + end - colon > 6)
		return pk_fail(err, EINVAL, "-publish \"%.40s\" is not like 8080:80/tcp", text);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	snprintf(guest, sizeof(guest), "%.*s", (int)(text + end - colon - 1), colon + 1);
	if (pk_parse_u64(host, 65535, &from) < 0 || pk_parse_u64(guest, 65535, &to) < 0)
		return pk_fail(err, EINVAL, "-publish \"%.40s\" is not like 8080:80/tcp", text);
	pk_jw_open(w, NULL, '{');
	pk_jw_uint(w, "hostPort", from);
	pk_jw_uint(w, "containerPort", to);
	pk_jw_string(w, "protocol", slash ? slash + 1 : "tcp");
	pk_jw_close(w, '}');
	return 0;
}

static int put_mappings(const struct cli *cli, struct pk_jw *w, struct pk_err *err)
{
	const char *text;
	int r = 0;

	pk_jw_open(w, "runtimeConfig", '{');
	pk_jw_open(w, "portMappings", '[');
	for (size_t i = 0; (text = cli_nth(cli, "publish", i)) && r == 0; i++)
		r = put_mapping(w, text, err);
	pk_jw_close(w, ']');
	pk_jw_close(w, '}');
	return r;
}

static int put_members(const struct cli *cli, struct pk_jw *w, struct pk_err *err)
{
	int r = put_mode(cli, w, err);

	if (r == 0)
		r = put_mtu(cli, w, err);
	if (r == 0 && cli_has(cli, "publish"))
		r = put_mappings(cli, w, err);
	if (r < 0 || !cli_has(cli, "address"))
		return r;
	pk_jw_open(w, "allowJobArgs", '[');
	pk_jw_string(w, NULL, "picket.ip");
	pk_jw_close(w, ']');
	return 0;
}

int attach_conf(const struct cli *cli, struct pk_str *out, struct pk_err *err)
{
	struct pk_jw w = { .out = out };
	const struct pk_json *plugin = NULL;
	own_conflist list = { 0 };
	const char *version;
	int r = find_list(cli, &list, err);

	if (r == 0)
		r = the_plugin(cli, &list, &plugin, err);
	if (r < 0)
		return r;
	version = list.version ? pk_json_string(list.version) : NULL;
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "cniVersion", version ?: "1.0.0");
	pk_jw_string(&w, "name", list.name);
	for (const struct pk_json *v = pk_json_first(plugin); v; v = pk_json_next(v))
		if (!is_replaced(cli, pk_json_key(v)))
			pk_jw_value(&w, pk_json_key(v), v);
	r = put_members(cli, &w, err);
	pk_jw_close(&w, '}');
	return r;
}

void attach_conf_of_record(const struct cli *cli, const char *network, struct pk_str *out)
{
	struct pk_jw w = { .out = out };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "cniVersion", "1.0.0");
	pk_jw_string(&w, "name", network ?: "picket");
	pk_jw_string(&w, "type", "picket");
	pk_jw_string(&w, "root", *cli->paths.root ? cli->paths.root : "/");
	pk_jw_close(&w, '}');
}
