/* SPDX-License-Identifier: Apache-2.0 */
/* What the conflist says and picketd.json doesn't: see conf.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "conflist.h"
#include "own.h"
#include "resolv.h"

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

static void add_resolver(void *arg, const union pk_addr *addr)
{
	struct pk_settings *s = arg;

	s->resolvers = realloc(s->resolvers, (s->n_resolvers + 1) * sizeof(*addr));
	if (!s->resolvers)
		abort();
	s->resolvers[s->n_resolvers++] = *addr;
}

/* The list's name, and CNI's own for it. */
static const char *const server_keys[] = { "servers", "nameservers" };

/* An empty list is a word too. */
static bool has_servers(const struct pk_json *dns)
{
	return pk_json_get(dns, server_keys[0]) || pk_json_get(dns, server_keys[1]);
}

static void take_resolvers(struct pk_settings *s, const struct pk_json *dns)
{
	s->n_resolvers = 0;
	for (size_t i = 0; i < PK_ARRAY_LEN(server_keys); i++) {
		const struct pk_json *list = pk_json_get(dns, server_keys[i]);

		for (const struct pk_json *v = list ? pk_json_first(list) : NULL; v;
		     v = pk_json_next(v)) {
			const char *text = pk_json_string(v);
			union pk_addr addr;

			if (text && pk_addr_parse(text, &addr) == 0)
				add_resolver(s, &addr);
		}
	}
}

struct search {
	struct pk_config *config;
	bool found;
	bool has_dns; /* the conflist says what guests ask */
};

/* The plugin refuses what is wrong with them; here it counts as not said. */
static void take_way_out(struct pk_config *c, const struct pk_json_doc *doc,
			 const struct pk_json *plugin, const char *origin)
{
	const struct pk_json *uplinks = pk_json_get(plugin, "uplinks");
	const struct pk_json *masquerade = pk_json_get(plugin, "masquerade");
	struct pk_masquerade *m = &c->settings.masquerade, read = *m;

	uplinks = uplinks ? uplinks : pk_json_get(plugin, "uplink");
	if (uplinks && !c->settings.uplinks_given &&
	    pk_uplink_names_read(doc, uplinks, &c->settings.uplinks, NULL) == 0)
		pk_config_origin(c, "uplinks", origin);
	if (!masquerade || pk_masquerade_read(doc, masquerade, &read, NULL) < 0)
		return;
	if (!m->given) {
		m->ipv4 = read.ipv4;
		m->ipv6 = read.ipv6;
		pk_config_origin(c, "masquerade.ipv4", origin);
		pk_config_origin(c, "masquerade.ipv6", origin);
	}
	if (!m->ports_given && read.ports_given) {
		m->low = read.low;
		m->high = read.high;
		pk_config_origin(c, "masquerade.ports", origin);
	}
}

static void take(struct search *search, const struct pk_json_doc *doc, const struct pk_json *plugin,
		 const char *path)
{
	struct pk_config *c = search->config;
	const struct pk_json *pool = pk_json_get(plugin, "pool");
	const struct pk_json *dns = pk_json_get(plugin, "dns");
	const char *baseline = pk_json_string(pk_json_get(plugin, "baseline"));
	struct pk_settings *s = &c->settings;
	char origin[PK_CONFIG_ORIGIN];

	snprintf(origin, sizeof(origin), "conflist %.300s", path);
	if (pool && !s->pools_given) {
		take_pools(s, pool);
		pk_config_origin(c, "pools", origin);
	}
	if (has_servers(dns) && !s->resolvers_given) {
		take_resolvers(s, dns);
		pk_config_origin(c, "resolvers", origin);
		search->has_dns = true;
	}
	if (baseline && !s->baseline_given && pk_baseline_parse(baseline, &s->baseline) == 0)
		pk_config_origin(c, "baseline", origin);
	take_way_out(c, doc, plugin, origin);
}

static int try_file(struct search *search, const char *path, struct pk_err *err)
{
	own_conflist list = { 0 };
	const struct pk_json *plugin;
	int r = pk_conflist_read(path, &list, err);

	if (r < 0)
		return r;
	plugin = pk_conflist_plugin_of(&list, search->config->paths.root);
	search->found = plugin != NULL;
	if (plugin)
		take(search, list.doc, plugin, path);
	return 0;
}

/* A file that can't be read is Nomad's to complain about, and another may be ours. */
static void try_each(void *arg, const char *path)
{
	struct search *search = arg;

	if (!search->found)
		try_file(search, path, NULL);
}

static int find_conflist(struct search *search, const char *directory, struct pk_err *err)
{
	const struct pk_config *c = search->config;
	int r;

	if (!*c->conflist) {
		pk_conflist_each(directory, try_each, search);
		return 0;
	}
	r = try_file(search, c->conflist, err);
	if (r == 0 && !search->found)
		r = pk_fail(err, 0, "%s has no plugin of type picket for root \"%s\"", c->conflist,
			    *c->paths.root ? c->paths.root : "/");
	return r;
}

/* As the plugin does where the conflist has no "dns". */
static void ask_the_machine(struct pk_config *c)
{
	const struct pk_resolv_fns fns = { .server = add_resolver, .arg = &c->settings };
	struct pk_resolv_seen seen;

	pk_resolv_conf_read(&c->paths, &fns, &seen);
	pk_resolv_none(&seen, &c->no_resolver);
}

int pk_conflist_apply(struct pk_config *c, const char *directory, struct pk_err *err)
{
	struct search search = { .config = c };
	struct pk_settings *s = &c->settings;
	int r = find_conflist(&search, directory, err);

	c->no_resolver = (struct pk_err){ 0 };
	if (r == 0 && !s->resolvers_given && !search.has_dns)
		ask_the_machine(c);
	for (size_t i = 0; r == 0 && i < s->n_resolvers; i++)
		s->resolver_host |= pk_addr_is_local(&s->resolvers[i]);
	return r;
}

int pk_config_effective(struct pk_config *c, const struct pk_config_args *args, struct pk_err *err)
{
	char directory[PK_PATH_ROOM];
	int r = pk_config_load(c, args, err);

	if (r < 0)
		return r;
	snprintf(directory, sizeof(directory), "%s/" PK_CONFLIST_DIR, c->paths.root);
	r = pk_conflist_apply(c, directory, err);
	if (r < 0)
		pk_config_done(c);
	return r;
}
