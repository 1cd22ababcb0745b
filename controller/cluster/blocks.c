/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blocks_private.h"
#include "fs.h"
#include "log.h"
#include "own.h"

#define LOOK_MS	  60000 /* between two checks of how long the claims still count */
#define REFRESH_S 3600	/* the time until which they count is written anew this often */

/*
 * Makes a name for this machine of /etc/machine-id and the root, since two machines may bear one
 * node name. A lost state directory doesn't change it.
 */
static void name_machine(struct pk_blocks *b)
{
	own_mem char *id = NULL;
	own_str text = { 0 };
	uint64_t hash[2];
	size_t len = 0;

	if (pk_fs_read("/etc/machine-id", 256, &id, &len, NULL) < 0)
		log_warn(
			"op=blocks err=\"no /etc/machine-id\" two nodes of one name look like one");
	pk_str_addf(&text, "%.*s %s", (int)len, id ?: "", b->args.config->paths.root);
	pk_hash128(text.text, text.len, hash);
	snprintf(b->machine, sizeof(b->machine), "%016lx", hash[0]);
}

size_t blocks_n_range(const struct pk_config *c)
{
	size_t n = 0;

	while (n < PK_CONFIG_PREFIXES && c->range[n].len)
		n++;
	return n;
}

bool blocks_in_range(const struct pk_config *c, const struct pk_prefix *block)
{
	return c->claim && pk_block_in_range(block, c->range, blocks_n_range(c));
}

static struct own *find(const struct pk_blocks *b, const struct pk_prefix *block)
{
	for (size_t i = 0; i < b->n; i++)
		if (pk_addr_equal(&b->own[i].block.addr, &block->addr) &&
		    b->own[i].block.len == block->len)
			return &b->own[i];
	return NULL;
}

static void add(struct pk_blocks *b, const struct pk_prefix *block, const struct pk_block_claim *c)
{
	static const union pk_addr none;
	struct own *o;

	b->own = realloc(b->own, (b->n + 1) * sizeof(*b->own));
	if (!b->own)
		abort();
	o = &b->own[b->n++];
	*o = (struct own){ .block = *block, .size = cni_block_size(block, &none) };
	if (!c)
		return;
	o->confirmed = !c->kept && !c->word->returned && strcmp(c->word->machine, b->machine) == 0;
	o->modified = c->modified;
	o->number = c->word->number;
}

bool blocks_is_named(const struct pk_blocks *b, const struct pk_block_claim *c)
{
	return strcmp(c->word->node, b->node) == 0;
}

/* Returns whether another machine made this claim under this node's name. */
static bool is_namesakes(const struct pk_blocks *b, const struct pk_block_claim *c)
{
	return blocks_is_named(b, c) && !c->word->returned &&
	       strcmp(c->word->machine, b->machine) != 0;
}

static bool is_own(const struct pk_blocks *b, const struct pk_block_claim *c)
{
	return blocks_is_named(b, c) && !c->word->returned && !c->before && !is_namesakes(b, c) &&
	       blocks_in_range(b->args.config, &c->block);
}

/*
 * Keeps a block that was this node's and that nobody else claims. Where its key is gone it is
 * written again; until then no address of it is handed out.
 */
static void keep_own(struct pk_blocks *b, const struct pk_block_claims *claims, struct own *was,
		     size_t n)
{
	char text[PK_ADDR_TEXT];

	for (size_t i = 0; i < n; i++) {
		const struct pk_block_claim *c = pk_block_claim_of(claims, &was[i].block);

		if (find(b, &was[i].block) || !blocks_in_range(b->args.config, &was[i].block))
			continue;
		if (!c || blocks_is_named(b, c))
			add(b, &was[i].block, c);
		else
			log_error("op=blocks block=%s err=\"it is %s's by its claim\" none of its "
				  "addresses is given any more",
				  pk_prefix_format(&was[i].block, text), c->word->node);
	}
}

static void collect(struct pk_blocks *b, const struct pk_block_claims *claims)
{
	struct own *was = PK_MOVE(b->own, NULL);
	size_t n = PK_MOVE(b->n, 0);

	b->contested = false;
	for (size_t i = 0; i < claims->n; i++) {
		b->contested |= is_namesakes(b, &claims->list[i]);
		if (is_own(b, &claims->list[i]))
			add(b, &claims->list[i].block, &claims->list[i]);
	}
	keep_own(b, claims, was, n);
	free(was);
}

static void count_held(struct pk_blocks *b)
{
	const struct pk_local_endpoint *ep = NULL;

	while ((ep = pk_model_next(b->args.model, ep)))
		for (size_t i = 0; i < ep->n_addresses; i++)
			for (size_t k = 0; k < b->n; k++)
				b->own[k].held +=
					pk_prefix_has(&b->own[k].block, &ep->addresses[i]);
}

static bool same_list(const struct pk_prefix *a, size_t n, const struct pk_prefix *b, size_t m)
{
	return n == m && (!n || memcmp(a, b, n * sizeof(*a)) == 0);
}

static bool has_confirmed(const struct pk_blocks *b, bool v6)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->own[i].confirmed && b->own[i].block.v6 == v6)
			return true;
	return false;
}

/*
 * Returns whether each family of the range has a block: an endpoint that began with one family
 * alone would stay so.
 */
bool blocks_has_each_family(const struct pk_blocks *b)
{
	const struct pk_prefix *range = b->args.config->range;

	for (size_t i = 0; i < PK_CONFIG_PREFIXES && range[i].len; i++)
		if (!has_confirmed(b, range[i].v6))
			return false;
	return true;
}

/*
 * Fills in the settings by which the plugin hands out addresses: the confirmed blocks, and until
 * when they count.
 */
static bool tell(struct pk_blocks *b, bool hand_out)
{
	struct pk_settings now = { 0 };
	int64_t t = time(NULL);
	bool changed;

	hand_out &= blocks_has_each_family(b);
	now.pools = pk_alloc((b->n + 1) * sizeof(*now.pools));
	now.blocks = pk_alloc((b->n + 1) * sizeof(*now.blocks));
	for (size_t i = 0; i < b->n && b->believed; i++) {
		now.pools[now.n_pools++] = b->own[i].block;
		if (hand_out && b->own[i].confirmed)
			now.blocks[now.n_blocks++] = b->own[i].block;
	}
	changed = !same_list(now.pools, now.n_pools, b->told.pools, b->told.n_pools) ||
		  !same_list(now.blocks, now.n_blocks, b->told.blocks, b->told.n_blocks);
	if (now.n_blocks &&
	    (b->until - t < PK_BLOCKS_KEEP_S - REFRESH_S || b->until - t > PK_BLOCKS_KEEP_S)) {
		b->until = t + PK_BLOCKS_KEEP_S;
		changed = true;
	}
	free(b->told.pools);
	free(b->told.blocks);
	b->told = now;
	return changed;
}

static struct pk_prefix *copied(const struct pk_prefix *list, size_t n)
{
	struct pk_prefix *to = pk_alloc((n + 1) * sizeof(*to));

	if (n)
		memcpy(to, list, n * sizeof(*to));
	return to;
}

void pk_blocks_fill(const struct pk_blocks *b, struct pk_settings *s)
{
	free(s->pools);
	free(s->blocks);
	s->pools = copied(b->told.pools, b->told.n_pools);
	s->n_pools = b->told.n_pools;
	s->blocks = copied(b->told.blocks, b->told.n_blocks);
	s->n_blocks = b->told.n_blocks;
	s->blocks_until = b->until;
}

static void judge(struct pk_blocks *b, const struct pk_blocks_heard *heard)
{
	const char *store = pk_config_store_name(b->args.config);
	int64_t left = b->until - time(NULL);
	bool all = heard->nodes && heard->claims;

	b->error = (struct pk_err){ 0 };
	b->believed |= (all && heard->published) || (left > 0 && left <= PK_BLOCKS_KEEP_S);
	b->may_publish = all && !b->contested;
	if (b->contested || heard->contested) {
		pk_fail(&b->error, 0, "two nodes are named \"%.64s\": another machine has %s%s",
			b->node, b->contested ? "claimed its blocks" : "its word in ",
			b->contested ? "" : store);
		pk_fix(&b->error, 0,
		       "give each node a \"node\" of its own in picketd.json; of a machine that "
		       "was replaced: picket node remove %.64s, on another node",
		       b->node);
	} else if (!b->believed) {
		pk_fail(&b->error, 0,
			"what blocks this node has isn't known before %s has answered", store);
		pk_fix(&b->error, 0, "start %s, or mend \"%s\" in picketd.json", store,
		       b->args.config->store);
	}
}

bool pk_blocks_settle(struct pk_blocks *b, struct pk_believed *believed,
		      const struct pk_blocks_heard *heard)
{
	const struct pk_block_claims *claims = pk_believed_claims(believed);
	bool may_claim, usable;
	const struct own *written;

	collect(b, claims);
	written = find(b, &b->written);
	if (!b->call && written && written->confirmed)
		b->not_before_ms = 0;
	count_held(b);
	judge(b, heard);
	usable = b->believed && !b->contested && !heard->contested;
	may_claim = usable && heard->nodes && heard->claims && heard->published;
	if (may_claim)
		blocks_claim_next(b, believed, claims);
	return tell(b, usable);
}

bool pk_blocks_may_publish(const struct pk_blocks *b)
{
	return b->may_publish;
}

const struct pk_err *pk_blocks_error(const struct pk_blocks *b)
{
	return *b->error.text ? &b->error : &b->write_error;
}

size_t pk_blocks_strays(const struct pk_blocks *b, const struct pk_believed *believed,
			struct pk_err *err)
{
	const struct pk_block_claims *claims = pk_believed_judged(believed);
	const struct pk_local_endpoint *ep = NULL;
	char text[PK_ADDR_TEXT];
	size_t n = 0;

	while ((ep = pk_model_next(b->args.model, ep)))
		for (size_t i = 0; i < ep->n_addresses; i++) {
			const union pk_addr *a = &ep->addresses[i];
			struct pk_prefix at = pk_block_at(a, pk_addr_is4(a) ? 32 : 128);
			const struct pk_block_claim *c = pk_block_claim_of(claims, &at);

			if (!c || blocks_is_named(b, c) || n++)
				continue;
			pk_fail(err, 0,
				"block %s is %.64s's by its claim, and endpoints here have "
				"addresses of it",
				pk_prefix_format(&c->block, text), c->word->node);
			pk_fix(err, 0,
			       "stop their allocations: nobody on other nodes reaches them");
		}
	return n;
}

int pk_blocks_check_range(const struct pk_blocks *b, const struct pk_config *config,
			  struct pk_err *err)
{
	char text[PK_ADDR_TEXT];
	int r;

	for (size_t i = 0; i < b->n; i++) {
		if (blocks_in_range(config, &b->own[i].block) || !b->own[i].held)
			continue;
		r = pk_fail(err, 0,
			    "endpoints here have addresses of block %s, which \"blocks\" "
			    "would give up",
			    pk_prefix_format(&b->own[i].block, text));
		return pk_fix(err, r,
			      "drain this node first, or keep the prefix in \"range\" beside the "
			      "new one");
	}
	return 0;
}

static void on_timer(void *arg)
{
	struct pk_blocks *b = arg;

	pk_timer_set(b->timer, LOOK_MS);
	b->args.look(b->args.arg);
}

struct pk_blocks *pk_blocks_new(const struct pk_blocks_args *args)
{
	struct pk_blocks *b = pk_alloc(sizeof(*b));

	b->args = *args;
	b->node = pk_strdup(args->node);
	b->prefix = pk_strdup(args->prefix);
	b->until = args->config->settings.blocks_until;
	name_machine(b);
	b->timer = pk_timer_new(args->loop, on_timer, b);
	pk_timer_set(b->timer, LOOK_MS);
	return b;
}

void pk_blocks_free(struct pk_blocks *b)
{
	if (!b)
		return;
	pk_store_cancel(b->args.store, b->call);
	pk_timer_free(b->timer);
	free(b->told.pools);
	free(b->told.blocks);
	free(b->own);
	free(b->node);
	free(b->prefix);
	free(b);
}
