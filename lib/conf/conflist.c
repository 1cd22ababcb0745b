/* SPDX-License-Identifier: Apache-2.0 */
#include "conflist.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "paths.h"

#define NEWEST_VERSION 110 /* libcni 1.3 knows 1.1.0 and what is older */

void pk_conflist_done(struct pk_conflist *list)
{
	pk_json_free(PK_MOVE(list->doc, NULL));
}

/*
 * Returns whether the file has that suffix; one called ".conflist" has it, too, as in Go's
 * filepath.Ext.
 */
static bool has_suffix(const char *name, const char *suffix)
{
	const char *dot = strrchr(name, '.');

	return dot && strcmp(dot, suffix) == 0;
}

static int unreadable(const struct pk_conflist *list, const struct pk_json *at, struct pk_err *err,
		      const char *what, const char *fix)
{
	pk_json_fail(err, list->doc, at, false, "%s: Nomad stops at this file", what);
	return pk_fix(err, -EINVAL, "%s", fix);
}

/* Returns 110 for "1.1.0", and -1 where v is no version. */
static int version_number(const struct pk_json *v)
{
	const char *text = v ? pk_json_string(v) : NULL;
	unsigned int major, minor, patch;
	int used = 0;

	if (!text || sscanf(text, "%1u.%1u.%1u%n", &major, &minor, &patch, &used) != 3 ||
	    text[used])
		return -1;
	return (int)(major * 100 + minor * 10 + patch);
}

/* Returns the newest of "cniVersions" and "cniVersion" that libcni knows. */
static const struct pk_json *pick_version(const struct pk_json *root)
{
	const struct pk_json *best = pk_json_get(root, "cniVersion");
	const struct pk_json *list = pk_json_get(root, "cniVersions");

	for (const struct pk_json *v = list ? pk_json_first(list) : NULL; v; v = pk_json_next(v)) {
		int n = version_number(v);

		if (n >= 0 && n <= NEWEST_VERSION && (!best || n > version_number(best)))
			best = v;
	}
	return best;
}

/* Returns whether there is a DIR/NAME/, from which libcni takes a network's plugins as well. */
static bool has_plugin_files(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	char dir[PK_PATH_ROOM];
	bool found = false;

	if (!slash || (size_t)snprintf(dir, sizeof(dir), "%.*s/%s", (int)(slash - path), path,
				       name) >= sizeof(dir))
		return false;
	own_dir DIR *d = opendir(dir);

	for (struct dirent *e; d && !found && (e = readdir(d));)
		found = has_suffix(e->d_name, ".conf");
	return found;
}

static int check_plugin(const struct pk_conflist *list, const struct pk_json *plugin,
			struct pk_err *err)
{
	const struct pk_json *type = pk_json_get(plugin, "type");

	if (pk_json_type(plugin) == PK_JSON_OBJECT && type && pk_json_string(type) &&
	    *pk_json_string(type))
		return 0;
	return unreadable(list, plugin, err, "no \"type\"",
			  "name the plugin's \"type\", or move the file away");
}

static int check_list(const struct pk_conflist *list, const char *path, struct pk_err *err)
{
	const struct pk_json *root = pk_json_root(list->doc);
	const struct pk_json *plugins = pk_json_get(root, "plugins");
	int r = 0;

	if (!*list->name)
		return unreadable(list, root, err, "no \"name\"",
				  "name the network: \"name\": \"picket\"");
	if (!plugins && has_plugin_files(path, list->name))
		return 0;
	if (!plugins || pk_json_type(plugins) != PK_JSON_ARRAY || !pk_json_first(plugins))
		return unreadable(list, plugins ? plugins : root, err, "no \"plugins\"",
				  "add the list of its plugins, or move the file away");
	for (const struct pk_json *p = pk_json_first(plugins); p && r == 0; p = pk_json_next(p))
		r = check_plugin(list, p, err);
	return r;
}

int pk_conflist_read(const char *path, struct pk_conflist *out, struct pk_err *err)
{
	own_conflist list = { .single = !has_suffix(path, ".conflist") };
	own_mem char *text = NULL;
	const struct pk_json *root;
	size_t len;
	int r = pk_fs_read_own(path, PK_JSON_MAX, &text, &len, err);

	if (r == 0)
		r = pk_json_parse(path, text, len, PK_JSON_RELAXED, &list.doc, err);
	if (r < 0)
		return pk_fix(err, r, "mend or remove the file: Nomad reads them all");
	root = pk_json_root(list.doc);
	list.name = pk_json_string(pk_json_get(root, "name")) ?: "";
	list.version = pick_version(root);
	r = list.single ? check_plugin(&list, root, err) : check_list(&list, path, err);
	if (r < 0)
		return r;
	*out = list;
	list.doc = NULL;
	return 0;
}

static bool is_picket(const struct pk_json *plugin, const char *root)
{
	const char *type = pk_json_string(pk_json_get(plugin, "type"));
	const char *its = pk_json_string(pk_json_get(plugin, "root"));
	struct pk_paths ours, theirs;

	if (!type || strcmp(type, "picket") != 0)
		return false;
	return !root || (pk_paths_init(&ours, root, NULL) == 0 &&
			 pk_paths_init(&theirs, its ?: "", NULL) == 0 &&
			 strcmp(ours.root, theirs.root) == 0);
}

static const struct pk_json *find_plugin(const struct pk_conflist *list, const char *root)
{
	const struct pk_json *top = pk_json_root(list->doc);
	const struct pk_json *plugins = pk_json_get(top, "plugins");

	if (list->single)
		return is_picket(top, root) ? top : NULL;
	for (const struct pk_json *p = plugins ? pk_json_first(plugins) : NULL; p;
	     p = pk_json_next(p))
		if (is_picket(p, root))
			return p;
	return NULL;
}

const struct pk_json *pk_conflist_plugin(const struct pk_conflist *list)
{
	return find_plugin(list, NULL);
}

const struct pk_json *pk_conflist_plugin_of(const struct pk_conflist *list, const char *root)
{
	return find_plugin(list, root);
}

static int is_conflist(const struct dirent *e)
{
	return e->d_type != DT_DIR &&
	       (has_suffix(e->d_name, ".conflist") || has_suffix(e->d_name, ".conf") ||
		has_suffix(e->d_name, ".json"));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void pk_conflist_each(const char *dir, void (*each)(void *arg, const char *path), void *arg)
{
	struct dirent **list;
	int n = scandir(dir, &list, is_conflist, by_bytes);

	if (n < 0)
		return;
	for (int i = 0; i < n; i++) {
		char path[PK_PATH_ROOM + 256];

		snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		each(arg, path);
		free(list[i]);
	}
	free(list);
}
