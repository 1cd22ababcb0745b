/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_private.h"
#include "consul.h"
#include "own.h"

#define NODES	    "nodes/"
#define BLOCKS	    "blocks/"
#define NODES_TEXT  (16u << 20)
#define BLOCKS_TEXT (16u << 20)

/* Settles this node's own blocks first: what others say is judged by them. */
void cluster_settle_own(struct pk_cluster *c)
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

void cluster_settle(struct pk_cluster *c)
{
	const struct pk_settings *s = pk_model_get_settings(c->args.model);
	struct pk_believed_world world = { .range = c->args.config->range };
	unsigned int changed;

	cluster_settle_own(c);
	if (s->vxlan.on)
		world.overlay = pk_vxlan_is6(&s->vxlan) ? PK_OVERLAY_IPV6 : PK_OVERLAY_IPV4;
	world.pools = s->pools;
	world.n_pools = s->n_pools;
	while (world.n_range < PK_CONFIG_PREFIXES && world.range[world.n_range].len)
		world.n_range++;
	if (c->placement) {
		pk_placement_begin(c->placement);
		world.placed = pk_placement_of;
		world.arg = c->placement;
	}
	changed = pk_believed_settle(c->believed, &world, pk_model_remotes(c->args.model));
	if (c->placement)
		pk_placement_end(c->placement);
	if (c->fabric && changed & PK_BELIEVED_WAYS)
		pk_fabric_soon(c->fabric);
	if (c->probe)
		pk_probe_follow(c->probe);
	if (changed & PK_BELIEVED_ENDPOINTS)
		pk_model_remotes_changed(c->args.model);
	if (changed & PK_BELIEVED_BLOCKS)
		c->args.blocks(c->args.arg);
	if (changed & PK_BELIEVED_ENDPOINTS)
		c->args.endpoints(c->args.arg);
}

void pk_cluster_follow(struct pk_cluster *c)
{
	cluster_follow_tenants(c);
	if (c->blocks)
		cluster_settle_own(c);
	pk_publish_soon(c->publish);
}

static void unkeep_released(void *arg, const char *key)
{
	cluster_unkeep(arg, key);
}

bool pk_cluster_release(struct pk_cluster *c)
{
	bool any = pk_believed_release(c->believed, unkeep_released, c);

	if (any)
		cluster_settle(c);
	return any;
}

void pk_cluster_unserved(struct pk_cluster *c, const char *why)
{
	for (struct part *p = c->parts; p; p = p->hh.next)
		pk_keys_watch_unserved(p->watch, why);
}

void pk_cluster_served(struct pk_cluster *c, bool anew)
{
	for (struct part *p = c->parts; p; p = p->hh.next)
		pk_keys_watch_served(p->watch, anew);
}

void pk_cluster_withdraw(struct pk_model *model)
{
	struct pk_remotes *remotes = pk_model_remotes(model);

	pk_remotes_begin(remotes);
	if (pk_remotes_end(remotes))
		pk_model_remotes_changed(model);
	pk_remotes_set_blocks(remotes, NULL, 0);
	pk_fabric_withdraw();
	pk_overlay_withdraw();
}

const struct pk_err *pk_cluster_fabric_error(const struct pk_cluster *c)
{
	const struct pk_err *err = c->overlay ? pk_overlay_error(c->overlay) : NULL;

	return err && *err->text ? err : pk_fabric_error(c->fabric);
}

void pk_cluster_uplinks(struct pk_cluster *c)
{
	if (c->overlay)
		pk_overlay_soon(c->overlay);
	pk_fabric_soon(c->fabric);
}

const struct pk_believed *pk_cluster_believed(const struct pk_cluster *c)
{
	return c->believed;
}

const struct pk_probe *pk_cluster_probe(const struct pk_cluster *c)
{
	return c->probe;
}

const struct pk_source *pk_cluster_who_lives(const struct pk_cluster *c)
{
	const struct pk_store_ops *ops = c->args.store->ops;

	return ops->who_lives ? ops->who_lives(c->args.store) : NULL;
}

size_t pk_cluster_tenants(const struct pk_cluster *c)
{
	return HASH_COUNT(c->parts) - 2;
}

static int badness(enum pk_source_state state)
{
	return state == PK_SOURCE_STALE ? 2 : state == PK_SOURCE_STARTING;
}

bool pk_cluster_is_full(const struct pk_cluster *c)
{
	return c->full;
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
		return pk_fix(err,
			      pk_fail(err, 0, "%s has not answered yet", c->args.store->ops->name),
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
	const struct pk_config *config = c->args.config;
	const struct pk_service *service =
		pk_config_is_vars(config) ? &config->nomad : &config->consul;
	const struct pk_removal_args args = { .store = c->args.store,
					      .node = gone->name,
					      .addresses = pk_service_addresses(service),
					      .claims = pk_believed_judged(c->believed) };

	if (check_gone(c, gone, err) < 0)
		return NULL;
	return pk_removal_start(&args, fn, arg, err);
}

struct pk_reports *pk_cluster_reports(const struct pk_cluster *c, pk_reports_fn *fn, void *arg)
{
	if (pk_cluster_source(c)->state != PK_SOURCE_OK)
		return NULL;
	return pk_reports_ask(c->args.store, pk_keys_watch_source(c->nodes->watch)->turn, fn, arg);
}

const char *pk_cluster_node(const struct pk_cluster *c)
{
	return c->node;
}

void pk_cluster_say(struct pk_cluster *c, const char *report)
{
	pk_publish_say(c->publish, report);
}

const struct pk_blocks *pk_cluster_blocks(const struct pk_cluster *c)
{
	return c->blocks;
}

static void on_placed(void *arg)
{
	cluster_settle(arg);
}

static void on_look(void *arg)
{
	cluster_settle_own(arg);
}

static struct pk_placement *cluster_placement(struct pk_cluster *c)
{
	const struct pk_placement_args args = { .loop = c->args.loop,
						.http = c->args.http,
						.config = c->args.config,
						.model = c->args.model,
						.node = c->node,
						.changed = on_placed,
						.arg = c };

	return args.config->nomad.on ? pk_placement_new(&args) : NULL;
}

static void on_overlay(void *arg)
{
	struct pk_cluster *c = arg;

	pk_fabric_soon(c->fabric);
}

/*
 * Starts the overlay, or deletes its device where the network routes the blocks; then starts the
 * routes.
 */
static void start_fabric(struct pk_cluster *c)
{
	const struct pk_overlay_args overlay = { .loop = c->args.loop,
						 .config = c->args.config,
						 .sync = c->args.sync,
						 .changed = on_overlay,
						 .arg = c };

	if (c->args.config->settings.vxlan.on)
		c->overlay = pk_overlay_new(&overlay);
	else
		pk_overlay_withdraw();
	c->fabric = pk_fabric_new(c->args.loop, c->believed, c->overlay);
}

struct pk_cluster *pk_cluster_new(const struct pk_cluster_args *args)
{
	struct pk_cluster *c = pk_alloc(sizeof(*c));
	struct pk_publish_args publish = { .loop = args->loop,
					   .store = args->store,
					   .config = args->config,
					   .model = args->model,
					   .sync = args->sync,
					   .writer = args->writer,
					   .reports = args->reports,
					   .told = on_look,
					   .arg = c };
	struct pk_blocks_args blocks = { .loop = args->loop,
					 .store = args->store,
					 .config = args->config,
					 .model = args->model,
					 .look = on_look,
					 .arg = c };

	c->args = *args;
	STAILQ_INIT(&c->kept);
	c->keep = pk_timer_new(args->loop, cluster_hand_over, c);
	c->node = pk_consul_part(args->node);
	c->prefix = pk_strdup(args->store->prefix);
	if (asprintf(&c->directory, "%s/var/lib/picket/cluster", args->config->paths.root) < 0)
		abort();
	publish.node = blocks.node = c->node;
	publish.prefix = blocks.prefix = c->prefix;
	c->publish = pk_publish_new(&publish);
	c->believed = pk_believed_new(c->node);
	c->placement = cluster_placement(c);
	if (args->config->claim)
		c->blocks = pk_blocks_new(&blocks);
	cluster_recall(c);
	cluster_settle(c);
	start_fabric(c);
	c->probe = pk_probe_new(args->loop, c->believed);
	c->nodes = cluster_part(c, NODES, NODES_TEXT);
	c->claims = cluster_part(c, BLOCKS, BLOCKS_TEXT);
	cluster_follow_tenants(c);
	return c;
}

void pk_cluster_free(struct pk_cluster *c)
{
	struct part *p, *next;

	if (!c)
		return;
	HASH_ITER (hh, c->parts, p, next)
		cluster_part_free(c, p);
	cluster_hand_over_all(c);
	pk_timer_free(c->keep);
	pk_blocks_free(c->blocks);
	pk_publish_free(c->publish);
	pk_fabric_free(c->fabric);
	pk_probe_free(c->probe);
	pk_overlay_free(c->overlay);
	pk_placement_free(c->placement);
	pk_believed_free(c->believed);
	free(c->node);
	free(c->prefix);
	free(c->directory);
	free(c);
}
