/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the block that this node claims next, and the claim's way to the store. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "blocks_private.h"
#include "fs.h"
#include "log.h"
#include "own.h"

#define SEEN_MS 5000 /* how long to wait for a claim that was written to appear in the list */
#define SPARE	4    /* another block is claimed when at most 1/SPARE of one is free */

struct step {
	struct pk_prefix block;
	uint64_t modified, number; /* indexes of the key that is there; 0: there is none */
};

/* Finds a claim of this node's that Consul lacks, or has in another form. */
static bool next_again(const struct pk_blocks *b, struct step *step)
{
	for (size_t i = 0; i < b->n; i++)
		if (!b->own[i].confirmed) {
			*step = (struct step){ b->own[i].block, b->own[i].modified,
					       b->own[i].number };
			return true;
		}
	return false;
}

static unsigned int len_of(const struct pk_config *c, bool v6)
{
	return v6 ? c->block_len6 : c->block_len;
}

static bool has_address(const struct pk_blocks *b, const union pk_addr *addr)
{
	for (size_t i = 0; i < b->n; i++)
		if (pk_prefix_has(&b->own[i].block, addr))
			return true;
	return false;
}

/*
 * Finds a block that endpoints here live in already, because state was lost or it was a conflist's
 * pool.
 */
static bool next_lived_in(const struct pk_blocks *b, const struct pk_prefix *taken, size_t n_taken,
			  struct step *step)
{
	const struct pk_local_endpoint *ep = NULL;

	while ((ep = pk_model_next(b->args.model, ep)))
		for (size_t i = 0; i < ep->n_addresses; i++) {
			const union pk_addr *a = &ep->addresses[i];
			size_t k = 0;

			if (has_address(b, a))
				continue;
			*step = (struct step){ .block = pk_block_at(a, len_of(b->args.config,
									      !pk_addr_is4(a))) };
			while (k < n_taken && !pk_prefix_overlap(&taken[k], &step->block))
				k++;
			if (k == n_taken && blocks_in_range(b->args.config, &step->block))
				return true;
		}
	return false;
}

/*
 * Returns whether another block is due: at most 1/SPARE of one is free, and the node may have more
 * endpoints than it has addresses.
 */
static bool wants_another(const struct pk_blocks *b, bool v6)
{
	uint64_t size = 0, held = 0, one = 0;

	for (size_t i = 0; i < b->n; i++) {
		if (b->own[i].block.v6 != v6)
			continue;
		one = b->own[i].size;
		size += one;
		held += b->own[i].held;
	}
	return size < b->args.config->settings.capacity && size - held <= one / SPARE &&
	       b->n < PK_NODE_BLOCKS;
}

static bool has_family(const struct pk_config *c, bool v6)
{
	for (size_t i = 0; i < blocks_n_range(c); i++)
		if (c->range[i].v6 == v6)
			return true;
	return false;
}

/* Says what the lack of a block means; a node with one of each family goes on for now. */
static const char *consequence(const struct pk_blocks *b)
{
	return blocks_has_each_family(b) ? ""
					 : ": this node hands out no address before it has a block "
					   "of each family, and no ADD succeeds on it";
}

static int next_new(struct pk_blocks *b, const struct pk_block_claims *claims,
		    const struct pk_block_want *want, struct step *step)
{
	const struct pk_block_claim *c = pk_block_rested(claims, want, b->node, time(NULL));
	bool is_ours = c && blocks_is_named(b, c);
	int r;

	*step = (struct step){ 0 };
	if (!is_ours && pk_block_free(want, &step->block))
		return 0;
	if (c) {
		*step = (struct step){ c->block, c->modified, c->word->number };
		return 0;
	}
	r = pk_fail(&b->error, 0, "no IPv%d block of /%u is free in \"blocks\": { \"range\" }%s",
		    want->v6 ? 6 : 4, want->len, consequence(b));
	return pk_fix(&b->error, r,
		      "widen \"range\" on each node, or give back what nodes had that are gone: "
		      "picket node remove NAME");
}

static bool next_step(struct pk_blocks *b, struct pk_believed *believed,
		      const struct pk_block_claims *claims, struct step *step)
{
	static const uint64_t hash_key[2] = { 0x7069636b65742d62, 0x6c6f636b73 };
	struct pk_block_want want = { .range = b->args.config->range,
				      .n_range = blocks_n_range(b->args.config) };
	own_mem struct pk_prefix *taken = NULL;

	if (next_again(b, step))
		return true;
	want.start = pk_siphash(b->node, strlen(b->node), hash_key);
	want.n_taken = pk_believed_taken(believed, &taken);
	want.taken = taken;
	if (next_lived_in(b, want.taken, want.n_taken, step))
		return true;
	for (int v6 = 0; v6 <= 1; v6++) {
		want.v6 = v6;
		want.len = len_of(b->args.config, v6);
		if (has_family(b->args.config, v6) && wants_another(b, v6) &&
		    next_new(b, claims, &want, step) == 0)
			return true;
	}
	return false;
}

/* Notes why a claim wasn't written. A fix that `why` names itself comes before the other. */
static void write_failed(struct pk_blocks *b, const char *why, const char *fix)
{
	const char *own = pk_service_fix_at(why);
	const size_t len = own ? (size_t)(own - why) : strlen(why);
	struct pk_err err = { 0 };

	pk_fail(&err, 0, "a block can't be claimed: %.*s%s", (int)(len < 200 ? len : 200), why,
		consequence(b));
	pk_fix(&err, 0, "%s", own ? own + strlen(PK_SERVICE_FIX) : fix);
	if (strcmp(b->write_error.text, err.text) != 0)
		log_warn("op=blocks err=\"%s\" fix=\"%s\"", err.text, err.fix);
	b->write_error = err;
	b->not_before_ms = pk_loop_now(b->args.loop) + pk_tries_elsewhere(&b->tries);
	pk_timer_hurry(b->timer, 0);
}

/*
 * Takes the store's answer to a claim. The claim counts only when the store's list has it, since
 * another node may have been first.
 */
static void on_written(void *arg, const struct pk_store_answer *answer)
{
	struct pk_blocks *b = arg;

	b->call = NULL;
	if (answer->why) {
		own_str blocks = { 0 }, fix = { 0 };

		pk_str_addf(&blocks, "%sblocks/", b->prefix);
		pk_str_add(&fix, "give picketd's token ");
		pk_store_rule(b->args.store, blocks.text, true, &fix);
		write_failed(b, answer->why, fix.text);
		return;
	}
	b->write_error = (struct pk_err){ 0 };
	pk_tries_good(&b->tries);
	/*
	 * Where it wasn't done another node was quicker: the list names it, and the next pass
	 * claims another block. The list may have come before this answer.
	 */
	b->not_before_ms =
		pk_loop_now(b->args.loop) + (answer->done ? SEEN_MS : pk_backoff_ms(0) / 4);
	pk_timer_hurry(b->timer, 0);
}

static void write_step(struct pk_blocks *b, const struct step *step)
{
	struct pk_store_write write = { .compares = true,
					.modified = step->modified,
					.turn = b->tries.turn };
	struct pk_claim_word word = { .number = pk_word_number_after(step->number) };
	own_str body = { 0 }, key = { 0 };
	struct pk_err err = { 0 };

	snprintf(word.node, sizeof(word.node), "%s", b->node);
	strcpy(word.machine, b->machine);
	pk_claim_word_encode(&word, &body);
	pk_str_addf(&key, "%sblocks/", b->prefix);
	pk_claim_key(&step->block, &key);
	write.key = key.text;
	write.value = body.text;
	b->written = step->block;
	b->call = pk_store_write(b->args.store, &write, on_written, b, &err);
	if (!b->call)
		write_failed(b, err.text, err.fix);
}

static void write_in_time(struct pk_blocks *b, const struct step *step)
{
	uint64_t now = pk_loop_now(b->args.loop);

	if (now >= b->not_before_ms)
		write_step(b, step);
	else
		pk_timer_hurry(b->timer, b->not_before_ms - now);
}

void blocks_claim_next(struct pk_blocks *b, struct pk_believed *believed,
		       const struct pk_block_claims *claims)
{
	struct step step;

	if (!b->call && next_step(b, believed, claims, &step))
		write_in_time(b, &step);
}
