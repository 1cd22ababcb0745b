/* SPDX-License-Identifier: Apache-2.0 */
/* Takes from the conflists what picketd.json doesn't say: see conf.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "conflist.h"
#include "own.h"
#include "resolv.h"
#include "settings_forms.h"

static bool has_pool(const struct pk_settings *s, const struct pk_prefix *pool)
{
	for (size_t i = 0; i < s->n_pools; i++)
		if (s->pools[i].len == pool->len && pk_addr_equal(&s->pools[i].addr, &pool->addr))
			return true;
	return false;
}

static void add_pool(struct pk_settings *s, const char *text)
{
	struct pk_prefix pool;

	if (!text || pk_prefix_parse(text, &pool) < 0)
		return;
	pk_prefix_mask(&pool);
	if (has_pool(s, &pool))
		return;
	s->pools = realloc(s->pools, (s->n_pools + 1) * sizeof(pool));
	if (!s->pools)
		abort();
	s->pools[s->n_pools++] = pool;
}

/* Takes "pool", one prefix or a list of them. The plugin judges host bits. */
static void take_pools(struct pk_settings *s, const struct pk_json *pool)
{
	if (pk_json_type(pool) != PK_JSON_ARRAY) {
		add_pool(s, pk_json_string(pool));
		return;
	}
	for (const struct pk_json *v = pk_json_first(pool); v; v = pk_json_next(v))
		add_pool(s, pk_json_string(v));
}

static void add_resolver(void *arg, const union pk_addr *addr)
{
	struct pk_settings *s = arg;

	for (size_t i = 0; i < s->n_resolvers; i++)
		if (pk_addr_equal(&s->resolvers[i], addr))
			return;
	s->resolvers = realloc(s->resolvers, (s->n_resolvers + 1) * sizeof(*addr));
	if (!s->resolvers)
		abort();
	s->resolvers[s->n_resolvers++] = *addr;
}

/* The list's key by our name, and by CNI's own. */
static const char *const server_keys[] = { "servers", "nameservers" };

/* Returns whether servers are named; an empty list names none on purpose. */
static bool has_servers(const struct pk_json *dns)
{
	return pk_json_get(dns, server_keys[0]) || pk_json_get(dns, server_keys[1]);
}

static void take_resolvers(struct pk_settings *s, const struct pk_json *dns)
{
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

/*
 * The state of a search through all conflists of ours. Pools and resolvers are the union of theirs;
 * the way out is the first one's.
 */
struct search {
	struct pk_config *config;
	const char *named; /* read already; "" = none */
	size_t found;
	bool lacks_dns;			/* one of them says nothing of what guests ask */
	char baseline_of[PK_PATH_ROOM]; /* whose baseline it is */
};

/* Takes uplinks and masquerading. Values that the plugin would refuse count as not said. */
static void take_way_out(struct pk_config *c, const struct pk_json_doc *doc,
			 const struct pk_json *plugin, const char *origin)
{
	const struct pk_json *uplinks = pk_json_get(plugin, "uplinks");
	const struct pk_json *masquerade = pk_json_get(plugin, "masquerade");
	struct pk_masquerade *m = &c->settings.masquerade, read = *m;
	struct pk_uplink_names names = { 0 };

	uplinks = uplinks ? uplinks : pk_json_get(plugin, "uplink");
	if (uplinks && !c->settings.uplinks.given &&
	    pk_schema_read(&pk_form_uplinks, doc, uplinks, &names, NULL) == 0 && names.n) {
		c->settings.uplinks = names;
		c->settings.uplinks.given = false;
		pk_config_origin(c, "uplinks", origin);
	}
	if (!masquerade || pk_schema_read(&pk_form_masquerade, doc, masquerade, &read, NULL) < 0)
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

/* Returns whether a is stricter than b: deny is stricter than tenant, tenant than open. */
static bool is_stricter(enum pk_baseline a, enum pk_baseline b)
{
	static const int rank[] = {
		[PK_BASELINE_OPEN] = 0, [PK_BASELINE_TENANT] = 1, [PK_BASELINE_DENY] = 2
	};

	return rank[a] > rank[b];
}

/*
 * Takes the baseline. A node has one: of two that differ the stricter counts, and the other network
 * gets no endpoint until somebody decides.
 */
static void take_baseline(struct search *search, const struct pk_json *plugin, const char *path)
{
	const char *text = pk_json_string(pk_json_get(plugin, "baseline"));
	struct pk_config *c = search->config;
	struct pk_settings *s = &c->settings;
	enum pk_baseline baseline = PK_BASELINE_TENANT;
	char origin[PK_CONFIG_ORIGIN];

	if (s->baseline_given && !s->baseline_differs)
		return;
	if (text && pk_baseline_parse(text, &baseline) < 0)
		return;
	if (search->found > 1 && baseline != s->baseline) {
		s->baseline_given = s->baseline_differs = true;
		pk_fail(&c->baselines, 0,
			"%.120s says baseline \"%s\", %.120s \"%s\": the stricter one is in force "
			"for all, and the other's network takes no new endpoint",
			path, pk_baseline_name(baseline), search->baseline_of,
			pk_baseline_name(s->baseline));
		pk_fix(&c->baselines, 0,
		       "say the same \"baseline\" in both, or say it in picketd.json");
	}
	if (search->found > 1 && !is_stricter(baseline, s->baseline))
		return;
	s->baseline = baseline;
	snprintf(search->baseline_of, sizeof(search->baseline_of), "%s", path);
	snprintf(origin, sizeof(origin), "conflist %.300s", path);
	if (text)
		pk_config_origin(c, "baseline", origin);
}

/*
 * Takes a network's limits from the first conflist of that name, as runtimes do. One that the
 * plugin refuses says nothing.
 */
static void take_limits(struct pk_settings *s, const struct pk_conflist *list,
			const struct pk_json *plugin)
{
	const struct pk_json *v = pk_json_get(plugin, "limits");
	struct pk_network network = { 0 };

	if (strlen(list->name) >= sizeof(network.name) ||
	    (v && pk_limits_read(list->doc, v, &network.limits, NULL) < 0))
		return;
	strcpy(network.name, list->name);
	pk_settings_add_network(s, &network);
}

static void take(struct search *search, const struct pk_conflist *list,
		 const struct pk_json *plugin, const char *path)
{
	struct pk_config *c = search->config;
	const struct pk_json *pool = pk_json_get(plugin, "pool");
	const struct pk_json *dns = pk_json_get(plugin, "dns");
	struct pk_settings *s = &c->settings;
	char origin[PK_CONFIG_ORIGIN];

	snprintf(origin, sizeof(origin), "conflist %.300s", path);
	if (pool && s->claimed)
		pk_fix(&c->pool_beside,
		       pk_fail(&c->pool_beside, 0,
			       "%.200s names a \"pool\", and this node claims its blocks: its "
			       "network takes no new endpoint",
			       path),
		       "drop \"pool\" there, or \"claim\" from \"blocks\" of picketd.json");
	if (pool && !s->pools_given) {
		take_pools(s, pool);
		pk_config_origin(c, "pools", origin);
	}
	if (has_servers(dns) && !s->resolvers_given) {
		take_resolvers(s, dns);
		pk_config_origin(c, "resolvers", origin);
	}
	search->lacks_dns |= !has_servers(dns);
	take_baseline(search, plugin, path);
	if (search->found == 1)
		take_way_out(c, list->doc, plugin, origin);
	take_limits(s, list, plugin);
}

static int try_file(struct search *search, const char *path, struct pk_err *err)
{
	own_conflist list = { 0 };
	const struct pk_json *plugin;
	int r = pk_conflist_read(path, &list, err);

	if (r < 0)
		return r;
	plugin = pk_conflist_plugin_of(&list, search->config->paths.root);
	search->found += plugin != NULL;
	if (plugin)
		take(search, &list, plugin, path);
	return 0;
}

/* Reads one file. What one that can't be read would say is unknown, and the others count. */
static void try_each(void *arg, const char *path)
{
	struct search *search = arg;
	struct pk_err *unread = &search->config->unread, err = { 0 };

	if (strcmp(path, search->named) == 0 || try_file(search, path, &err) == 0 || *unread->text)
		return;
	pk_fail(unread, 0, "%s", err.text);
	pk_fix(unread, 0, "mend or remove the file: Nomad reads them all; then reload picketd");
}

static int find_conflist(struct search *search, const char *directory, struct pk_err *err)
{
	const struct pk_config *c = search->config;
	int r;

	if (*c->conflist) {
		if (access(c->conflist, F_OK) < 0 && errno == ENOENT)
			return pk_fix(err,
				      pk_fail(err, ENOENT, "\"conflist\" names %s", c->conflist),
				      "put it back, or name another one in picketd.json");
		r = try_file(search, c->conflist, err);
		if (r == 0 && !search->found)
			r = pk_fail(err, 0, "%s has no plugin of type picket for root \"%s\"",
				    c->conflist, *c->paths.root ? c->paths.root : "/");
		if (r < 0)
			return r;
	}
	pk_conflist_each(directory, try_each, search);
	return 0;
}

/* Reads resolv.conf, as the plugin does where the conflist has no "dns". */
static void ask_the_machine(struct pk_config *c)
{
	const struct pk_resolv_fns fns = { .server = add_resolver, .arg = &c->settings };
	struct pk_resolv_seen seen;

	pk_resolv_conf_read(&c->paths, &fns, &seen);
	pk_resolv_none(&seen, &c->no_resolver);
}

int pk_conflist_apply(struct pk_config *c, const char *directory, struct pk_err *err)
{
	struct search search = { .config = c, .named = c->conflist };
	struct pk_settings *s = &c->settings;
	int r;

	c->baselines = c->pool_beside = c->unread = (struct pk_err){ 0 };
	r = find_conflist(&search, directory, err);
	c->no_resolver = (struct pk_err){ 0 };
	if (r == 0 && !s->resolvers_given && (!search.found || search.lacks_dns))
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

static bool same_resolvers(const struct pk_settings *a, const struct pk_settings *b)
{
	return a->n_resolvers == b->n_resolvers && a->resolver_host == b->resolver_host &&
	       (!a->n_resolvers ||
		memcmp(a->resolvers, b->resolvers, a->n_resolvers * sizeof(*a->resolvers)) == 0);
}

/* Reads all conflists once more, into now, which is the caller's. */
static int look_again(const struct pk_config *c, struct pk_config *now)
{
	char directory[PK_PATH_ROOM];

	pk_config_init(now);
	now->paths = c->paths;
	memcpy(now->conflist, c->conflist, sizeof(now->conflist));
	snprintf(directory, sizeof(directory), "%s/" PK_CONFLIST_DIR, c->paths.root);
	return pk_conflist_apply(now, directory, NULL);
}

void pk_config_keep_networks(struct pk_config *c, const struct pk_config *before)
{
	for (size_t i = 0; i < before->settings.n_networks; i++)
		pk_settings_add_network(&c->settings, &before->settings.network[i]);
}

void pk_config_keep_baseline(struct pk_config *c, enum pk_baseline before)
{
	struct pk_settings *s = &c->settings;

	if (!*c->unread.text || (s->baseline_given && !s->baseline_differs) ||
	    !is_stricter(before, s->baseline))
		return;
	s->baseline = before;
	pk_config_origin(c, "baseline", "kept: a conflist can't be read");
}

void pk_config_networks_again(struct pk_config *c)
{
	struct pk_config now;

	if (look_again(c, &now) == 0) {
		pk_config_keep_networks(&now, c);
		free(c->settings.network);
		c->settings.network = PK_MOVE(now.settings.network, NULL);
		c->settings.n_networks = PK_MOVE(now.settings.n_networks, 0);
	}
	pk_config_done(&now);
}

bool pk_config_resolvers_again(struct pk_config *c)
{
	struct pk_config now;
	bool changed = false;

	if (c->settings.resolvers_given)
		return false;
	/* A resolv.conf that names nobody is half written or gone, and changes nothing. */
	if (look_again(c, &now) == 0 && !*now.no_resolver.text) {
		changed = !same_resolvers(&now.settings, &c->settings);
		free(c->settings.resolvers);
		c->settings.resolvers = PK_MOVE(now.settings.resolvers, NULL);
		c->settings.n_resolvers = PK_MOVE(now.settings.n_resolvers, 0);
		c->settings.resolver_host = now.settings.resolver_host;
		c->no_resolver = now.no_resolver;
	}
	pk_config_done(&now);
	return changed;
}
