/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says in the status what the node runs out of. The blocks are those of the conflists or claimed,
 * as at ADD.
 */
#include <stdio.h>
#include <string.h>

#include "api_room.h"
#include "cni_conf.h"
#include "conflist.h"
#include "ipam.h"
#include "own.h"
#include "room.h"

struct asked {
	const struct pk_parts *parts;
	pk_room_pool_fn *each;
	void *arg;
};

static uint64_t held(const struct pk_model *model, const struct pk_prefix *block)
{
	uint64_t n = 0;

	for (const struct pk_local_endpoint *ep = pk_model_next(model, NULL); ep;
	     ep = pk_model_next(model, ep))
		for (size_t i = 0; i < ep->n_addresses; i++)
			n += pk_prefix_has(block, &ep->addresses[i]);
	return n;
}

static void ask_file(void *arg, const char *path)
{
	struct asked *asked = arg;
	PK_OWN(cni_conf_done) struct cni_conf conf = { 0 };
	own_conflist list = { 0 };
	const struct pk_settings *s = pk_model_get_settings(asked->parts->model);
	struct cni_conf_text in = { 0 };
	const struct pk_prefix *blocks;
	size_t n;

	if (pk_conflist_read(path, &list, NULL) < 0)
		return;
	in.doc = list.doc;
	in.plugin = pk_conflist_plugin_of(&list, asked->parts->config->paths.root);
	in.name = pk_json_get(pk_json_root(list.doc), "name");
	in.version = list.version;
	if (!in.plugin || cni_conf_take(&in, CNI_ADD, &conf, NULL) < 0)
		return;
	blocks = s->claimed ? s->pools : conf.pool;
	n = s->claimed ? s->n_pools : conf.n_pools;
	for (size_t i = 0; i < n; i++)
		asked->each(asked->arg, &(struct pk_room_pool){
						.network = list.name,
						.block = &blocks[i],
						.gateway = &conf.gateway,
						.size = cni_block_size(&blocks[i], &conf.gateway),
						.held = held(asked->parts->model, &blocks[i]),
					});
}

void pk_api_pools(const struct pk_parts *p, pk_room_pool_fn *each, void *arg)
{
	struct asked asked = { .parts = p, .each = each, .arg = arg };
	char dir[PK_PATH_ROOM];

	snprintf(dir, sizeof(dir), "%s/" PK_CONFLIST_DIR, p->config->paths.root);
	pk_conflist_each(dir, ask_file, &asked);
}

struct said {
	pk_room_fn *say;
	void *arg;
};

static void say_pool(void *arg, const struct pk_room_pool *pool)
{
	const struct said *said = arg;
	struct pk_err why = { 0 };

	if (pk_room_pool_is_short(pool->block, pool->gateway, pool->held, &why))
		said->say(said->arg, "pool", &why);
}

void pk_api_room(const struct pk_parts *p, pk_room_fn *say, void *arg)
{
	struct said said = { say, arg };
	struct pk_err why = { 0 };

	if (pk_room_disk_is_short(&p->config->paths, &why))
		say(arg, "disk", &why);
	/* Where blocks are claimed, the next one is claimed before the last one is full. */
	if (!p->config->claim)
		pk_api_pools(p, say_pool, &said);
}
