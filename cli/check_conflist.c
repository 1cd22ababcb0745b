/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks the conflists with the readers that Nomad's client and the plugin have, so that what
 * passes here passes at ADD, and the other way round.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cni_status.h"
#include "fs.h"
#include "own.h"

#define STATUS_NS 2000000000ull

/* Nomad looks a job's network up in lower case, whatever the file says. */
static bool lower_case(const char *name)
{
	for (; *name; name++)
		if (*name >= 'A' && *name <= 'Z')
			return false;
	return true;
}

static bool has_capability(const struct check_network *n, const char *name)
{
	return pk_json_true(pk_json_get(pk_json_get(n->plugin, "capabilities"), name));
}

static void check_root(struct check *c, const struct check_network *n)
{
	const char *root = *c->cli->paths.root ? c->cli->paths.root : "/";
	char fix[PK_PATH_ROOM];

	if (pk_conflist_plugin_of(&n->list, root))
		return;
	snprintf(fix, sizeof(fix), "say \"root\": \"%.200s\" in it, or check with -root of its own",
		 root);
	check_line(c, CHECK_WARN, "conflist", fix,
		   "%s: its endpoints are kept below root \"%s\", and not below %s", n->path,
		   n->conf.root, root);
}

/*
 * Checks for what is missing in a file that works, which would show only with the first job that
 * needs it.
 */
static void check_details(struct check *c, const struct check_network *n)
{
	if (n->list.single)
		check_line(
			c, CHECK_WARN, "conflist",
			"write it as a list: { \"cniVersion\", \"name\", \"plugins\": [{ ... }] } "
			"in a file *.conflist",
			"%s: a single plugin's file, which CNI 1.0 gave up", n->path);
	if (!has_capability(n, "portMappings"))
		check_line(c, CHECK_WARN, "conflist",
			   "add \"capabilities\": { \"portMappings\": true } to the plugin",
			   "%s: Nomad gives the plugin none of the ports that jobs publish",
			   n->path);
	if (n->conf.version == CNI_1_1_0)
		check_line(c, CHECK_WARN, "conflist", "say \"cniVersion\": \"1.0.0\"",
			   "%s: with cniVersion 1.1.0 Nomad skips DEL where STATUS fails", n->path);
	check_root(c, n);
}

static void check_ours(struct check *c, struct check_network *n)
{
	const struct cni_conf_text in = { .doc = n->list.doc,
					  .plugin = n->plugin,
					  .name = pk_json_get(pk_json_root(n->list.doc), "name"),
					  .version = n->list.version };
	struct pk_err err = { 0 };

	if (cni_conf_take(&in, CNI_ADD, &n->conf, &err) < 0) {
		check_line(c, CHECK_FAIL, "conflist", err.fix, "%s%s%s",
			   strstr(err.text, n->path) ? "" : n->path,
			   strstr(err.text, n->path) ? "" : ": ", err.text);
		return;
	}
	n->taken = true;
	if (c->settings.claimed && n->conf.n_pools)
		check_line(c, CHECK_FAIL, "conflist", "drop \"pool\"",
			   "%s: it names a \"pool\", and this node claims its blocks: no endpoint "
			   "gets an address",
			   n->path);
	else if (!c->settings.claimed && !n->conf.n_pools)
		check_line(c, CHECK_FAIL, "conflist", "say \"pool\": \"10.40.7.0/24\"",
			   "%s: no \"pool\", so that no endpoint gets an address", n->path);
	else if (!lower_case(n->list.name))
		check_line(c, CHECK_FAIL, "conflist", "write the network's name in lower case",
			   "%s: Nomad looks \"%s\" up in lower case", n->path, n->list.name);
	else
		check_line(c, CHECK_OK, "conflist", NULL, "%s: network \"%s\"", n->path,
			   n->list.name);
	check_details(c, n);
}

/* Nomad takes the first of two files with one name, and says so in its log alone. */
static void check_name(struct check *c, const struct check_network *n)
{
	for (const struct check_network *o = c->networks; o < n; o++) {
		if (strcmp(o->list.name, n->list.name) != 0)
			continue;
		check_line(c, o->plugin || n->plugin ? CHECK_FAIL : CHECK_WARN, "conflist",
			   "name the networks differently, or remove the file that isn't meant",
			   "%s: ignored, its network \"%s\" is %s's, which comes first", n->path,
			   n->list.name, o->path);
		return;
	}
}

static void read_one(void *arg, const char *path)
{
	struct check *c = arg;
	struct check_network *n;
	struct pk_conflist list = { 0 };
	struct pk_err err = { 0 };

	if (pk_conflist_read(path, &list, &err) < 0) {
		check_line(c, CHECK_FAIL, "conflist", err.fix, "%s", err.text);
		return;
	}
	c->networks = reallocarray(c->networks, c->n_networks + 1, sizeof(*c->networks));
	if (!c->networks)
		abort();
	n = &c->networks[c->n_networks++];
	*n = (struct check_network){ .list = list };
	snprintf(n->path, sizeof(n->path), "%s", path);
	n->plugin = pk_conflist_plugin(&n->list);
}

static void check_baselines(struct check *c)
{
	const struct check_network *first = NULL;

	for (size_t i = 0; i < c->n_networks; i++) {
		const struct check_network *n = &c->networks[i];

		if (!n->taken)
			continue;
		if (first && n->conf.baseline != first->conf.baseline)
			check_line(c, CHECK_FAIL, "conflist",
				   "say the same \"baseline\" in both, or say it in picketd.json",
				   "%s: baseline \"%s\", but \"%s\" in %s", n->path,
				   pk_baseline_name(n->conf.baseline),
				   pk_baseline_name(first->conf.baseline), first->path);
		first = first ? first : n;
	}
}

void check_conflists(struct check *c)
{
	char dir[PK_PATH_ROOM];
	bool found = false;

	pk_settings_init(&c->settings);
	pk_settings_read(&c->settings, c->cli->paths.node_json, NULL);
	snprintf(dir, sizeof(dir), "%s/" PK_CONFLIST_DIR, c->cli->paths.root);
	pk_conflist_each(dir, read_one, c);
	for (size_t i = 0; i < c->n_networks; i++) {
		check_name(c, &c->networks[i]);
		if (c->networks[i].plugin)
			check_ours(c, &c->networks[i]);
		found |= c->networks[i].plugin != NULL;
	}
	check_baselines(c);
	if (!found)
		check_line(
			c, CHECK_FAIL, "conflist",
			"put examples/picket.conflist there, then SIGHUP Nomad; it takes a minute",
			"no network of type picket in %s", dir);
}

void check_conflists_done(struct check *c)
{
	pk_settings_done(&c->settings);
	for (size_t i = 0; i < c->n_networks; i++) {
		cni_conf_done(&c->networks[i].conf);
		pk_conflist_done(&c->networks[i].list);
	}
	free(c->networks);
}

void check_status(struct check *c)
{
	for (size_t i = 0; i < c->n_networks; i++) {
		const struct check_network *n = &c->networks[i];
		struct pk_err err = { 0 };

		if (!n->taken || (n->conf.n_pools > 0) == c->settings.claimed)
			continue;
		if (cni_status(&c->cli->paths, &n->conf, pk_now_ns() + STATUS_NS, &err) < 0)
			check_line(c, CHECK_FAIL, "status", err.fix, "network \"%s\": %s",
				   n->list.name, err.text);
		else
			check_line(c, CHECK_OK, "status", NULL,
				   "network \"%s\": nothing stands in an ADD's way", n->list.name);
	}
}
