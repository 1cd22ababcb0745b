/* SPDX-License-Identifier: GPL-2.0-only */
/* What the conflist says and picketd.json doesn't: see conf.h. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "fs.h"
#include "own.h"
#include "resolv.h"

static bool same_root(const struct pk_config *c, const struct pk_json *plugin)
{
	const char *root = pk_json_string(pk_json_get(plugin, "root"));
	struct pk_paths paths;

	return pk_paths_init(&paths, root ?: "", NULL) == 0 &&
	       strcmp(paths.root, c->paths.root) == 0;
}

static const struct pk_json *our_plugin(const struct pk_config *c, const struct pk_json *root)
{
	const struct pk_json *list = pk_json_get(root, "plugins");

	for (const struct pk_json *p = pk_json_first(list); p; p = pk_json_next(p)) {
		const char *type = pk_json_string(pk_json_get(p, "type"));

		if (type && strcmp(type, "picket") == 0 && same_root(c, p))
			return p;
	}
	return NULL;
}

/* "pool" is one prefix or a list of them; host bits are the plugin's to judge. */
static int take_pools(struct pk_settings *s, const struct pk_json *pool)
{
	bool list = pk_json_type(pool) == PK_JSON_ARRAY;
	size_t n = list ? pk_json_count(pool) : 1, got = 0;
	struct pk_prefix *pools = calloc(n + 1, sizeof(*pools));
	const struct pk_json *v = list ? pk_json_first(pool) : pool;

	for (; pools && v; v = list ? pk_json_next(v) : NULL) {
		const char *text = pk_json_string(v);

		if (text && pk_prefix_parse(text, &pools[got]) == 0)
			pk_prefix_mask(&pools[got++]);
	}
	free(s->pools);
	s->pools = pools;
	s->n_pools = got;
	return 0;
}

static void take_resolvers(struct pk_settings *s, const struct pk_json *servers)
{
	union pk_addr *list = calloc(pk_json_count(servers) + 1, sizeof(*list));
	size_t n = 0;

	for (const struct pk_json *v = pk_json_first(servers); list && v; v = pk_json_next(v)) {
		const char *text = pk_json_string(v);

		if (text && pk_addr_parse(text, &list[n]) == 0)
			n++;
	}
	free(s->resolvers);
	s->resolvers = list;
	s->n_resolvers = n;
}

static void take(struct pk_config *c, const struct pk_json *plugin, const char *path)
{
	const struct pk_json *pool = pk_json_get(plugin, "pool");
	const struct pk_json *servers = pk_json_get(pk_json_get(plugin, "dns"), "servers");
	const char *baseline = pk_json_string(pk_json_get(plugin, "baseline"));
	struct pk_settings *s = &c->settings;
	char origin[PK_CONFIG_ORIGIN];

	snprintf(origin, sizeof(origin), "conflist %.300s", path);
	if (pool && !s->pools_given) {
		take_pools(s, pool);
		pk_config_origin(c, "pools", origin);
	}
	if (servers && !s->resolvers_given) {
		take_resolvers(s, servers);
		pk_config_origin(c, "resolvers", origin);
	}
	if (baseline && !s->baseline_given && pk_baseline_parse(baseline, &s->baseline) == 0)
		pk_config_origin(c, "baseline", origin);
}

static int try_file(struct pk_config *c, const char *path, bool *found, struct pk_err *err)
{
	own_mem char *text = NULL;
	own_json *doc = NULL;
	const struct pk_json *plugin;
	size_t len;
	int r = pk_fs_read(path, PK_JSON_MAX, &text, &len, err);

	if (r == 0)
		r = pk_json_parse(path, text, len, PK_JSON_RELAXED, &doc, err);
	if (r < 0)
		return r;
	plugin = our_plugin(c, pk_json_root(doc));
	*found = plugin != NULL;
	if (plugin)
		take(c, plugin, path);
	return 0;
}

static int is_conflist(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 9 && strcmp(e->d_name + n - 9, ".conflist") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void add_resolver(void *arg, const union pk_addr *addr)
{
	struct pk_settings *s = arg;

	s->resolvers = realloc(s->resolvers, (s->n_resolvers + 1) * sizeof(*addr));
	if (!s->resolvers)
		abort();
	s->resolvers[s->n_resolvers++] = *addr;
}

static int find_conflist(struct pk_config *c, const char *directory, struct pk_err *err);

int pk_conflist_apply(struct pk_config *c, const char *directory, struct pk_err *err)
{
	struct pk_settings *s = &c->settings;
	int r = find_conflist(c, directory, err);

	/* As the plugin does where the conflist has no "dns". */
	if (r == 0 && !s->resolvers_given && s->n_resolvers == 0)
		pk_resolv_conf_read(&c->paths,
				    &(struct pk_resolv_fns){ .server = add_resolver, .arg = s });
	for (size_t i = 0; r == 0 && i < s->n_resolvers; i++)
		s->resolver_host |= pk_addr_is_local(&s->resolvers[i]);
	return r;
}

static int find_conflist(struct pk_config *c, const char *directory, struct pk_err *err)
{
	struct dirent **list;
	bool found = false;
	int n;

	if (*c->conflist) {
		int r = try_file(c, c->conflist, &found, err);

		if (r == 0 && !found)
			r = pk_fail(err, 0, "%s has no plugin of type picket for root \"%s\"",
				    c->conflist, *c->paths.root ? c->paths.root : "/");
		return r;
	}
	n = scandir(directory, &list, is_conflist, by_bytes);
	if (n < 0)
		return 0;
	for (int i = 0; i < n; i++) {
		char path[PK_PATH_ROOM + 256];

		snprintf(path, sizeof(path), "%s/%s", directory, list[i]->d_name);
		/* A file that can't be read is Nomad's to complain about, and another may be ours.
		 */
		if (!found)
			try_file(c, path, &found, NULL);
		free(list[i]);
	}
	free(list);
	return 0;
}

int pk_config_effective(struct pk_config *c, const struct pk_config_args *args, struct pk_err *err)
{
	char directory[PK_PATH_ROOM];
	int r = pk_config_load(c, args, err);

	if (r < 0)
		return r;
	snprintf(directory, sizeof(directory), "%s/opt/cni/config", c->paths.root);
	r = pk_conflist_apply(c, directory, err);
	if (r < 0)
		pk_config_done(c);
	return r;
}
