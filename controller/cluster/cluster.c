/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "absence.h"
#include "blocks.h"
#include "fabric.h"
#include "fs.h"
#include "keys_watch.h"
#include "log.h"
#include "own.h"
#include "publish.h"

#define NODES	    "nodes/"
#define BLOCKS	    "blocks/"
#define NODES_MAX   4096
#define NODES_TEXT  (16u << 20)
#define BLOCKS_TEXT (16u << 20)
#define SHARE_TEXT  (16u << 20) /* of one tenant, all nodes' together */
#define BASE64(n)   ((n) / 3 * 4)
#define WATCH_MAX   64 /* tenants that are asked for; Consul's agent takes 200 connections */

/* A prefix below ours that is watched, and what is known of keys that went. */
struct part {
	char *name; /* "nodes/", "tenants/TENANT/" */
	struct pk_cluster *cluster;
	struct pk_keys_watch *watch;
	bool wanted, answered;
	uint64_t gone_ms; /* when keys went last, */
	size_t gone;	  /* and how many since */
	UT_hash_handle hh;
};

struct pk_cluster {
	struct pk_cluster_args args;
	char *node, *prefix, *directory;
	struct pk_publish *publish;
	struct pk_believed *believed;
	struct pk_fabric *fabric;
	struct pk_blocks *blocks;	     /* NULL: this node claims none */
	struct part *parts, *nodes, *claims; /* two of the parts: NODES and BLOCKS */
	struct pk_source source;
	bool full; /* more tenants than are asked for, said already */
};

/* Returns a node's name as the last part of a key. */
static char *as_part(const char *name)
{
	char *part = pk_strdup(name);

	for (char *c = part; *c; c++)
		if (*c == '/')
			*c = '_';
	return part;
}

/* This node's own blocks come first: what others say is judged by them. */
static void settle_own(struct pk_cluster *c)
{
	const struct pk_blocks_heard heard = { .nodes = c->nodes && c->nodes->answered,
					       .claims = c->claims && c->claims->answered,
					       .published = pk_publish_is_out(c->publish),
					       .contested = pk_publish_is_contested(c->publish) };

	if (!c->blocks) {
		pk_believed_claims(c->believed);
		return;
	}
	if (pk_blocks_settle(c->blocks, c->believed, &heard))
		c->args.own(c->args.arg, c->blocks);
	pk_publish_let(c->publish, pk_blocks_may_publish(c->blocks));
	pk_publish_soon(c->publish);
}

static void settle(struct pk_cluster *c)
{
	const struct pk_settings *s = pk_model_get_settings(c->args.model);
	struct pk_believed_world world = { .range = c->args.config->range };
	unsigned int changed;

	settle_own(c);
	world.pools = s->pools;
	world.n_pools = s->n_pools;
	while (world.n_range < PK_CONFIG_PREFIXES && world.range[world.n_range].len)
		world.n_range++;
	changed = pk_believed_settle(c->believed, &world, pk_model_remotes(c->args.model));
	if (c->fabric)
		pk_fabric_soon(c->fabric);
	if (changed & PK_BELIEVED_ENDPOINTS)
		pk_model_remotes_changed(c->args.model);
	if (changed & PK_BELIEVED_BLOCKS)
		c->args.blocks(c->args.arg);
	if (changed & PK_BELIEVED_ENDPOINTS)
		c->args.endpoints(c->args.arg);
}

/* --- what is kept: a file a key, "CREATED\n" and what it said --- */

static void file_of(const struct pk_cluster *c, const char *key, struct pk_str *path)
{
	pk_str_addf(path, "%s/", c->directory);
	pk_str_add_percent(path, key, "-_");
}

static void keep(struct pk_cluster *c, const char *key, const struct pk_kv *kv)
{
	own_str path = { 0 }, text = { 0 };

	file_of(c, key, &path);
	pk_str_addf(&text, "%llu %s\n", (unsigned long long)kv->created, key);
	pk_str_addn(&text, kv->value, kv->len);
	/* A lost write comes again with Consul's next answer. */
	if (!text.failed)
		pk_writer_file(c->args.writer, path.text, text.text, text.len);
}

static void unkeep(const struct pk_cluster *c, const char *key)
{
	own_str path = { 0 };

	file_of(c, key, &path);
	pk_writer_unlink(c->args.writer, path.text);
}

static void recall_one(struct pk_cluster *c, const char *name)
{
	own_mem char *text = NULL, *path = NULL;
	char *key, *body;
	struct pk_said said = { 0 };
	size_t len;

	if (asprintf(&path, "%s/%s", c->directory, name) < 0)
		abort();
	if (pk_fs_read_own(path, PK_JSON_MAX, &text, &len, NULL) < 0)
		return;
	body = memchr(text, '\n', len);
	key = memchr(text, ' ', len);
	if (!body || !key || key > body)
		return;
	*body++ = '\0';
	said.key = key + 1;
	said.created = strtoull(text, NULL, 10);
	said.text = body;
	said.len = len - (size_t)(body - text);
	if (pk_believed_say(c->believed, &said) < 0)
		log_warn("op=cluster file=\"%s\" err=\"it can't be read\" ignoring", path);
}

static void recall(struct pk_cluster *c)
{
	own_dir DIR *dir = opendir(c->directory);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (*e->d_name != '.')
			recall_one(c, e->d_name);
}

/* --- what Consul says --- */

struct hearing {
	struct part *part;
	const struct pk_keys_answer *answer;
	const char **lacking;
	size_t had, lacks;
	bool changed;
};

static void hear_key(struct hearing *h, const struct pk_kv *kv)
{
	struct pk_cluster *c = h->part->cluster;
	const char *key = kv->key + strlen(c->prefix), *last = strrchr(key, '/');
	const struct pk_said said = { .key = key,
				      .text = kv->value,
				      .len = kv->len,
				      .created = kv->created,
				      .modified = kv->modified,
				      .live = kv->held,
				      .doubt = h->answer->first || h->answer->behind,
				      .now = time(NULL) };
	int r;

	if (last && strcmp(last + 1, c->node) == 0) {
		pk_publish_seen(c->publish, key, kv->value, kv->held);
		return;
	}
	r = pk_believed_say(c->believed, &said);
	h->changed |= r != 0;
	if (r > 0)
		keep(c, key, kv);
}

static void count(void *arg, const char *key)
{
	struct hearing *h = arg;
	own_str full = { 0 };

	pk_str_addf(&full, "%s%s", h->part->cluster->prefix, key);
	h->had++;
	if (pk_kvs_find(h->answer->kvs, full.text))
		return;
	h->lacking = realloc(h->lacking, (h->lacks + 1) * sizeof(*h->lacking));
	if (!h->lacking)
		abort();
	h->lacking[h->lacks++] = key;
}

/* Deals with keys that were there and are lacking: they are gone, or held (absence.h). */
static void hear_absence(struct hearing *h)
{
	struct part *part = h->part;
	struct pk_cluster *c = part->cluster;
	uint64_t now = pk_loop_now(c->args.loop);
	struct pk_absence a = { .first = h->answer->first,
				.behind = h->answer->behind || h->answer->filtered };
	const char *held;

	pk_believed_each(c->believed, part->name, true, count, h);
	a.had = h->had;
	a.lacks = h->lacks;
	if (now - part->gone_ms > PK_ABSENCE_WINDOW_MS)
		part->gone = 0;
	a.recent = part->gone;
	held = pk_absence_held(&a);
	for (size_t i = 0; i < h->lacks; i++) {
		if (!held)
			unkeep(c, h->lacking[i]);
		pk_believed_lack(c->believed, h->lacking[i], held, time(NULL));
	}
	if (h->lacks && !held) {
		part->gone += h->lacks;
		part->gone_ms = now;
	}
	if (h->lacks && held)
		log_warn("op=cluster keys=\"%s\" err=\"%zu of %zu are gone: %s\" they stay, stale",
			 part->name, h->lacks, h->had, held);
	h->changed |= h->lacks > 0;
}

static void hear_own_absence(struct hearing *h)
{
	struct pk_cluster *c = h->part->cluster;
	own_str own = { 0 }, full = { 0 };

	pk_str_addf(&own, "%s%s", h->part->name, c->node);
	pk_str_addf(&full, "%s%s", c->prefix, own.text);
	if (!pk_kvs_find(h->answer->kvs, full.text))
		pk_publish_seen(c->publish, own.text, NULL, false);
}

static void on_answer(void *arg, const struct pk_keys_answer *answer)
{
	struct hearing h = { .part = arg, .answer = answer };
	struct pk_cluster *c = h.part->cluster;

	for (size_t i = 0; i < answer->kvs->n; i++)
		hear_key(&h, &answer->kvs->list[i]);
	hear_own_absence(&h);
	hear_absence(&h);
	free(h.lacking);
	h.changed |= !h.part->answered;
	h.part->answered = true;
	if (h.changed)
		settle(c);
	else if (c->blocks && (h.part == c->nodes || h.part == c->claims))
		settle_own(c);
}

/* --- whom it hears --- */

static struct part *part_of(struct pk_cluster *c, const char *name, size_t text_max)
{
	struct pk_keys_watch_args args = { .loop = c->args.loop,
					   .http = c->args.http,
					   .consul = &c->args.config->consul,
					   .budget = { NODES_MAX, text_max },
					   .cap = BASE64(text_max) + (4u << 20),
					   .fn = on_answer };
	own_str prefix = { 0 };
	struct part *p;

	HASH_FIND_STR(c->parts, name, p);
	if (p)
		return p;
	pk_str_addf(&prefix, "%s%s", c->prefix, name);
	p = pk_alloc(sizeof(*p));
	p->name = pk_strdup(name);
	p->cluster = c;
	args.prefix = prefix.text;
	args.arg = p;
	p->watch = pk_keys_watch_new(&args);
	HASH_ADD_KEYPTR(hh, c->parts, p->name, strlen(p->name), p);
	return p;
}

static void part_free(struct pk_cluster *c, struct part *p)
{
	HASH_DEL(c->parts, p);
	pk_keys_watch_free(p->watch);
	free(p->name);
	free(p);
}

static void want_tenant(struct pk_cluster *c, const char *name)
{
	own_str part = { 0 };
	struct part *p;

	pk_str_addf(&part, "tenants/%s/", name);
	HASH_FIND_STR(c->parts, part.text, p);
	if (!p && pk_cluster_tenants(c) >= WATCH_MAX) {
		if (!c->full)
			log_warn(
				"op=cluster err=\"more than %d tenants: endpoints of the others on "
				"other nodes stay unknown, which is denied\"",
				WATCH_MAX);
		c->full = true;
		return;
	}
	part_of(c, part.text, SHARE_TEXT)->wanted = true;
}

static void want_selector(struct pk_cluster *c, const struct pk_selector *sel)
{
	for (size_t i = 0; i < sel->n_req; i++) {
		const struct pk_requirement *req = &sel->req[i];

		if (req->op != PK_OP_IN || strcmp(req->key, "nomad:namespace") != 0)
			continue;
		for (size_t k = 0; k < req->n_values; k++)
			want_tenant(c, req->values[k]);
	}
}

/* Asks for the namespaces that policies in force name as peers. */
static void want_named(struct pk_cluster *c)
{
	const struct pk_rules *rules = pk_model_rules(c->args.model);
	struct pk_rule_ref ref;

	for (size_t i = 0; i < pk_rules_count(rules); i++)
		for (size_t k = 0;
		     pk_rules_at(rules, i, &ref) == 0 && ref.entry && k < ref.entry->n_selectors;
		     k++)
			want_selector(c, &ref.entry->selectors[k]);
}

struct forgetting {
	struct pk_cluster *cluster;
	bool any;
};

static void forget(void *arg, const char *key)
{
	struct forgetting *f = arg;

	unkeep(f->cluster, key);
	pk_believed_lack(f->cluster->believed, key, NULL, 0);
	f->any = true;
}

/* Drops what was said of tenants that nobody here asks for any more. */
static void drop_unwanted(struct pk_cluster *c)
{
	struct forgetting f = { .cluster = c };
	struct part *p, *next;

	HASH_ITER (hh, c->parts, p, next) {
		if (p->wanted)
			continue;
		pk_believed_each(c->believed, p->name, false, forget, &f);
		part_free(c, p);
	}
	if (f.any)
		settle(c);
}

static void follow_tenants(struct pk_cluster *c)
{
	const char *name;

	for (struct part *p = c->parts; p; p = p->hh.next)
		p->wanted = p == c->nodes || p == c->claims;
	for (size_t i = 0; (name = pk_model_tenant(c->args.model, i)); i++)
		want_tenant(c, name);
	want_named(c);
	drop_unwanted(c);
}

void pk_cluster_follow(struct pk_cluster *c)
{
	follow_tenants(c);
	if (c->blocks)
		settle_own(c);
	pk_publish_soon(c->publish);
}

static void unkeep_released(void *arg, const char *key)
{
	unkeep(arg, key);
}

bool pk_cluster_release(struct pk_cluster *c)
{
	bool any = pk_believed_release(c->believed, unkeep_released, c);

	if (any)
		settle(c);
	return any;
}

void pk_cluster_withdraw(struct pk_model *model)
{
	struct pk_remotes *remotes = pk_model_remotes(model);

	pk_remotes_begin(remotes);
	if (pk_remotes_end(remotes))
		pk_model_remotes_changed(model);
	pk_remotes_set_blocks(remotes, NULL, 0);
	pk_fabric_withdraw();
}

const struct pk_err *pk_cluster_fabric_error(const struct pk_cluster *c)
{
	return pk_fabric_error(c->fabric);
}

const struct pk_believed *pk_cluster_believed(const struct pk_cluster *c)
{
	return c->believed;
}

size_t pk_cluster_tenants(const struct pk_cluster *c)
{
	return HASH_COUNT(c->parts) - 2;
}

static int badness(enum pk_source_state state)
{
	return state == PK_SOURCE_STALE ? 2 : state == PK_SOURCE_STARTING;
}

const struct pk_source *pk_cluster_source(const struct pk_cluster *c)
{
	const struct pk_source *worst = pk_publish_source(c->publish);

	for (const struct part *p = c->parts; p; p = p->hh.next) {
		const struct pk_source *s = pk_keys_watch_source(p->watch);

		if (badness(s->state) > badness(worst->state))
			worst = s;
	}
	return worst;
}

static bool has_claims(const struct pk_block_claims *claims, const char *node)
{
	for (size_t i = 0; i < claims->n; i++)
		if (strcmp(claims->list[i].word->node, node) == 0 &&
		    !claims->list[i].word->returned)
			return true;
	return false;
}

static int check_gone(const struct pk_cluster *c, const struct pk_cluster_gone *gone,
		      struct pk_err *err)
{
	struct pk_believed_node node;
	bool found = false;

	if (strcmp(gone->name, c->node) == 0)
		return pk_fix(err, pk_fail(err, 0, "\"%.64s\" is this node", gone->name),
			      "ask another node for it");
	for (size_t i = 0; !found && pk_believed_node(c->believed, i, &node); i++)
		found = strcmp(node.name, gone->name) == 0;
	if (!found && !has_claims(pk_believed_judged(c->believed), gone->name))
		return pk_fix(err, pk_fail(err, 0, "no node \"%.64s\" is known", gone->name),
			      "picket node list");
	if (!c->claims->answered)
		return pk_fix(err, pk_fail(err, 0, "Consul has not answered yet"),
			      "do it again once it has");
	if (!found || !node.live || gone->force)
		return 0;
	return pk_fix(
		err,
		pk_fail(err, 0, "node \"%.64s\" lives: its picketd renews its session", gone->name),
		"stop picketd there; -force where its session merely hasn't ended yet");
}

struct pk_removal *pk_cluster_remove(const struct pk_cluster *c, const struct pk_cluster_gone *gone,
				     pk_removal_fn *fn, void *arg, struct pk_err *err)
{
	const struct pk_removal_args args = { .http = c->args.http,
					      .consul = &c->args.config->consul,
					      .prefix = c->prefix,
					      .node = gone->name,
					      .claims = pk_believed_judged(c->believed) };

	if (check_gone(c, gone, err) < 0)
		return NULL;
	return pk_removal_start(&args, fn, arg, err);
}

const struct pk_blocks *pk_cluster_blocks(const struct pk_cluster *c)
{
	return c->blocks;
}

static void on_look(void *arg)
{
	settle_own(arg);
}

struct pk_cluster *pk_cluster_new(const struct pk_cluster_args *args)
{
	struct pk_cluster *c = pk_alloc(sizeof(*c));
	struct pk_publish_args publish = { .loop = args->loop,
					   .http = args->http,
					   .config = args->config,
					   .model = args->model,
					   .sync = args->sync,
					   .writer = args->writer,
					   .told = on_look,
					   .arg = c };
	struct pk_blocks_args blocks = { .loop = args->loop,
					 .http = args->http,
					 .config = args->config,
					 .model = args->model,
					 .look = on_look,
					 .arg = c };

	c->args = *args;
	c->node = as_part(args->node);
	if (asprintf(&c->prefix, "%s/v1/%s/", args->config->consul_prefix, args->config->cluster) <
		    0 ||
	    asprintf(&c->directory, "%s/var/lib/picket/cluster", args->config->paths.root) < 0)
		abort();
	publish.node = blocks.node = c->node;
	publish.prefix = blocks.prefix = c->prefix;
	c->publish = pk_publish_new(&publish);
	c->believed = pk_believed_new(c->node);
	if (args->config->claim)
		c->blocks = pk_blocks_new(&blocks);
	recall(c);
	settle(c);
	c->fabric = pk_fabric_new(args->loop, c->believed);
	c->nodes = part_of(c, NODES, NODES_TEXT);
	c->claims = part_of(c, BLOCKS, BLOCKS_TEXT);
	follow_tenants(c);
	return c;
}

void pk_cluster_free(struct pk_cluster *c)
{
	struct part *p, *next;

	if (!c)
		return;
	HASH_ITER (hh, c->parts, p, next)
		part_free(c, p);
	pk_blocks_free(c->blocks);
	pk_publish_free(c->publish);
	pk_fabric_free(c->fabric);
	pk_believed_free(c->believed);
	free(c->node);
	free(c->prefix);
	free(c->directory);
	free(c);
}
