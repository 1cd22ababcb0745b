/* SPDX-License-Identifier: Apache-2.0 */
/* Hears what Consul says of a part: keys that say something, and keys that are lacking. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "absence.h"
#include "cluster_private.h"
#include "log.h"
#include "own.h"

struct hearing {
	struct part *part;
	const struct pk_keys_answer *answer;
	const char **lacking;
	size_t n_lacking;
	size_t had, lacks; /* both without keys whose word was that there is no endpoint */
	bool changed;
};

void cluster_read_ahead(void *arg, const struct pk_kv *kv)
{
	const struct part *part = arg;
	struct pk_cluster *c = part->cluster;
	const struct pk_said said = { .key = kv->key + strlen(c->prefix),
				      .text = kv->value,
				      .len = kv->len };

	if (!pk_word_is_of(said.key, c->node))
		pk_believed_read_ahead(c->believed, &said);
}

static void hear_key(struct hearing *h, const struct pk_kv *kv)
{
	struct pk_cluster *c = h->part->cluster;
	const char *key = kv->key + strlen(c->prefix);
	const struct pk_said said = { .key = key,
				      .text = kv->value,
				      .len = kv->len,
				      .created = kv->created,
				      .modified = kv->modified,
				      .live = kv->held,
				      .doubt = h->answer->first || h->answer->behind,
				      .now = time(NULL) };
	int r;

	if (pk_word_is_of(key, c->node)) {
		pk_publish_seen(c->publish, key, kv);
		return;
	}
	r = pk_believed_say(c->believed, &said);
	h->changed |= r != 0;
	if (r > 0)
		cluster_keep(c, key, kv);
}

static void count(void *arg, const char *key)
{
	struct hearing *h = arg;
	struct pk_cluster *c = h->part->cluster;
	bool empty = pk_believed_is_empty(c->believed, key);
	own_str full = { 0 };

	pk_str_addf(&full, "%s%s", c->prefix, key);
	h->had += !empty;
	if (pk_kvs_find(h->answer->kvs, full.text))
		return;
	h->lacking = realloc(h->lacking, (h->n_lacking + 1) * sizeof(*h->lacking));
	if (!h->lacking)
		abort();
	h->lacking[h->n_lacking++] = key;
	h->lacks += !empty;
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
	for (size_t i = 0; i < h->n_lacking; i++) {
		bool stays = held && !pk_believed_is_empty(c->believed, h->lacking[i]);

		if (!stays)
			cluster_unkeep(c, h->lacking[i]);
		pk_believed_lack(c->believed, h->lacking[i], stays ? held : NULL, time(NULL));
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

static void count_one(void *arg, const char *key)
{
	size_t *n = arg;

	(void)key;
	(*n)++;
}

static bool any_is_held(const struct part *part)
{
	struct pk_believed *b = part->cluster->believed;
	size_t all = 0, fresh = 0;

	pk_believed_each(b, part->name, false, count_one, &all);
	pk_believed_each(b, part->name, true, count_one, &fresh);
	return fresh < all;
}

static void hear_own_absence(struct hearing *h)
{
	struct pk_cluster *c = h->part->cluster;
	own_str first = { 0 };
	size_t parts;

	pk_str_addf(&first, "%s%s", h->part->name, c->node);
	parts = pk_share_key_len(first.text) ? PK_SHARE_PARTS : 1;
	for (size_t i = 0; i < parts; i++) {
		own_str own = { 0 }, full = { 0 };

		pk_share_key_of_part(first.text, i, &own);
		pk_str_addf(&full, "%s%s", c->prefix, own.text);
		if (!pk_kvs_find(h->answer->kvs, full.text))
			pk_publish_seen(c->publish, own.text, NULL);
	}
}

void cluster_hear(void *arg, const struct pk_keys_answer *answer)
{
	struct hearing h = { .part = arg, .answer = answer };
	struct pk_cluster *c = h.part->cluster;

	for (size_t i = 0; i < answer->kvs->n; i++)
		hear_key(&h, &answer->kvs->list[i]);
	pk_believed_drop_ahead(c->believed, h.part->name);
	hear_own_absence(&h);
	hear_absence(&h);
	free(h.lacking);
	pk_keys_watch_hasty(h.part->watch, any_is_held(h.part));
	h.changed |= !h.part->answered;
	h.part->answered = true;
	if (h.changed)
		cluster_settle(c);
	else if (c->blocks && (h.part == c->nodes || h.part == c->claims))
		cluster_settle_own(c);
}
