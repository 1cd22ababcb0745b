/* SPDX-License-Identifier: Apache-2.0 */
#include "publish.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "log.h"
#include "own.h"
#include "publish_private.h"
#include "share.h"
#include "sync.h"

#define SETTLE_MS 100	/* changes within it are one write */
#define EACH_MS	  1000	/* between two writes of a key */
#define STUCK_MS  60000 /* until a key is tried again that can't be written */
#define SHOWN_MS  2000	/* for what the store shows of a share; what changed waits no longer */
#define PATIENCE                                                                                   \
	3 /* so many failures in a row are none yet: a session's lock delay makes one or two */

void publish_drop(struct pk_publish *p, struct key *k)
{
	HASH_DEL(p->keys, k);
	free(k->name);
	free(k->body);
	free(k->text);
	free(k->shown);
	free(k);
}

static void look(void *arg)
{
	struct pk_publish *p = arg;
	size_t before = HASH_COUNT(p->keys);
	uint64_t wait;

	if (!pk_sync_bpf(p->args.sync) || p->may_not)
		return;
	p->looked = true;
	publish_want_all(p);
	wait = publish_want_ends(p, pk_loop_now(p->args.loop));
	for (struct key *k = p->keys; k; k = k->hh.next)
		publish_take_shown(k);
	if (wait)
		pk_timer_set(p->look, wait);
	if (HASH_COUNT(p->keys) != before)
		publish_remember(p);
	pk_timer_hurry(p->write, 0);
}

void pk_publish_say(struct pk_publish *p, const char *report)
{
	if (p->report && strcmp(p->report, report) == 0)
		return;
	free(p->report);
	p->report = pk_strdup(report);
	pk_publish_soon(p);
}

void pk_publish_soon(struct pk_publish *p)
{
	pk_timer_hurry(p->look, SETTLE_MS);
}

static void write_later(struct pk_publish *p, const char *why)
{
	if (p->writes.failures == PATIENCE)
		log_warn("op=cluster err=\"this node's keys can't be written: %s\"", why);
	pk_source_bad(&p->source, PK_FAULT_ANSWER, why);
	pk_timer_set(p->write, pk_tries_again(&p->writes));
}

/* Puts off a report that the store refuses: the other keys matter more. */
static void leave_report(struct pk_publish *p, struct key *k, const char *why)
{
	own_str status = { 0 }, rule = { 0 };

	pk_str_addf(&status, "%sstatus/", p->prefix);
	pk_store_rule(p->args.store, status.text, true, &rule);
	if (!p->refused)
		log_warn("op=cluster err=\"which documents are enforced can't be written to %s%s: "
			 "%s\" fix=\"give picketd's token %s, or say \\\"status\\\": false of %s\"",
			 p->prefix, k->name, why, rule.text, p->args.store->ops->origin);
	p->refused = true;
	k->not_before_ms = pk_loop_now(p->args.loop) + REFUSED_MS;
	pk_timer_hurry(p->write, 0);
}

/* Puts off a key that the store refuses: the others go first. */
static void refused(struct pk_publish *p, struct key *k)
{
	k->not_before_ms = pk_loop_now(p->args.loop) + pk_backoff_ms(k->refusals++);
}

static bool is_what_was_written(const struct pk_publish *p, const struct key *k)
{
	if (!k->text || !p->writing_text)
		return !k->text && !p->writing_text;
	return strcmp(k->text, p->writing_text) == 0;
}

static void on_written(void *arg, const struct pk_store_answer *answer)
{
	struct pk_publish *p = arg;
	own_mem char *name = PK_MOVE(p->writing, NULL);
	bool was_out = p->is_out, was_contested = p->contested;
	struct key *k;

	p->call = NULL;
	p->writes.turn += answer->why != NULL;
	HASH_FIND_STR(p->keys, name, k);
	if (answer->refused && k && publish_is_report(name)) {
		leave_report(p, k, answer->why);
	} else if (answer->why) {
		if (k && answer->fault != PK_FAULT_SILENT)
			refused(p, k);
		write_later(p, answer->why);
	} else if (!answer->done) {
		if (k)
			refused(p, k);
		p->contested = p->writes.failures >= PATIENCE;
		write_later(p, "another session holds this node's key: two nodes of one name, or "
			       "an earlier picketd's, which ends within two minutes");
	} else {
		pk_tries_good(&p->writes);
		p->contested = false;
		publish_good(p);
		if (k && is_what_was_written(p, k)) {
			k->written = k->known = true;
			k->refusals = 0;
			p->is_out |= strncmp(k->name, "nodes/", 6) == 0;
			k->not_before_ms = pk_loop_now(p->args.loop) + EACH_MS;
		}
		if (k && k->written && !k->body) {
			publish_drop(p, k);
			publish_remember(p);
		}
		pk_timer_hurry(p->write, 0);
	}
	free(PK_MOVE(p->writing_text, NULL));
	if (p->args.told && (p->is_out != was_out || p->contested != was_contested))
		p->args.told(p->args.arg);
}

/* Makes k->text of k->body, with a new number in place of the first 0. */
static void make_text(struct pk_publish *p, struct key *k)
{
	static const char zero[] = "\"number\":0";
	const char *at = strstr(k->body, zero);
	own_str text = { 0 };

	p->number = k->number = pk_word_number_after(p->number);
	pk_str_addn(&text, k->body, (size_t)(at - k->body));
	pk_str_addf(&text, "\"number\":%llu", (unsigned long long)p->number);
	pk_str_add(&text, at + strlen(zero));
	free(k->text);
	k->text = pk_str_take(&text);
	publish_remember(p);
}

/* Marks a key that the store can never take as stuck; the others go on. */
static void leave_key(struct pk_publish *p, struct key *k, const struct pk_err *err)
{
	own_str why = { 0 };

	pk_str_addf(&why, "%s%s%s", err->text, *err->fix ? "; fix: " : "", err->fix);
	log_warn("op=cluster err=\"%s\"", why.text);
	pk_source_bad(&p->source, PK_FAULT_UNASKED, why.text);
	k->not_before_ms = pk_loop_now(p->args.loop) + STUCK_MS;
	pk_timer_hurry(p->write, pk_backoff_ms(0));
}

void publish_good(struct pk_publish *p)
{
	const struct key *cut = NULL;
	own_str why = { 0 };
	size_t n_left = 0;

	for (const struct key *k = p->keys; k; k = k->hh.next) {
		if (k->stuck)
			return;
		if (!k->body || !k->n_left)
			continue;
		cut = k;
		n_left += k->n_left;
	}
	if (!cut) {
		pk_source_good(&p->source);
		return;
	}
	pk_str_addf(&why,
		    "%s%s has no room for %zu endpoints, which other nodes don't know; fix: %s",
		    p->prefix, cut->name, n_left, p->args.store->ops->more_room);
	pk_source_bad(&p->source, PK_FAULT_UNASKED, why.text);
}

static void write_key(struct pk_publish *p, struct key *k)
{
	struct pk_store_write write = { .holder = p->session, .turn = p->writes.turn };
	struct pk_err err = { 0 };
	own_str key = { 0 };

	if (k->body && !k->text)
		make_text(p, k);
	pk_str_addf(&key, "%s%s", p->prefix, k->name);
	write.key = key.text;
	write.value = k->body ? k->text : NULL;
	k->stuck = pk_store_fits(p->args.store, write.key, write.value, &err) < 0;
	if (k->stuck) {
		leave_key(p, k, &err);
		return;
	}
	p->writing = pk_strdup(k->name);
	p->writing_text = pk_strdup(k->text);
	p->call = pk_store_write(p->args.store, &write, on_written, p, &err);
	if (p->call)
		return;
	free(PK_MOVE(p->writing, NULL));
	free(PK_MOVE(p->writing_text, NULL));
	p->writes.turn++;
	write_later(p, err.text);
}

enum turn { TURN_NEW, TURN_CHANGED, TURN_ENDS };

static enum turn turn_of(const struct key *k)
{
	if (!k->body || k->ends_ms)
		return TURN_ENDS;
	return k->known ? TURN_CHANGED : TURN_NEW;
}

/* Finds the part of that number of the share that the key is a part of; NULL: there is none. */
static struct key *part_of(const struct pk_publish *p, const struct key *k, size_t nr)
{
	own_str name = { 0 };
	struct key *part;

	pk_share_key_of_part(k->name, nr, &name);
	HASH_FIND_STR(p->keys, name.text, part);
	return part;
}

/*
 * Returns whether another part of its share is to be written first. A new part is written before
 * the parts that lose endpoints to it, and a part that ends is ended after the parts that got its
 * endpoints. So an endpoint that moves stands in two parts for a moment, never in none. A part that
 * the store refuses doesn't count, and shares don't wait for each other.
 */
static bool waits_for_a_part(const struct pk_publish *p, const struct key *k)
{
	const struct key *first = pk_share_key_len(k->name) ? part_of(p, k, 0) : NULL;

	for (size_t i = 0; first && i < (first->parts ?: 1); i++) {
		const struct key *part = part_of(p, k, i);

		if (part && part != k && !part->written && !part->stuck &&
		    part->refusals < PATIENCE && turn_of(part) < turn_of(k))
			return true;
	}
	return false;
}

struct key *publish_next(const struct pk_publish *p, uint64_t now, uint64_t *wait)
{
	*wait = 0;
	for (struct key *k = p->keys; k; k = k->hh.next) {
		const uint64_t from = k->recalled && p->shows_by_ms > k->not_before_ms
					      ? p->shows_by_ms
					      : k->not_before_ms;

		if (k->written)
			continue;
		if (from > now) {
			uint64_t left = from - now;

			if (!*wait || left < *wait)
				*wait = left;
		} else if (!waits_for_a_part(p, k)) {
			return k;
		}
	}
	return NULL;
}

static void write_next(void *arg)
{
	struct pk_publish *p = arg;
	struct key *k;
	uint64_t wait;

	if (p->call || !*p->session || !p->looked || p->may_not)
		return;
	k = publish_next(p, pk_loop_now(p->args.loop), &wait);
	if (k)
		write_key(p, k);
	else if (wait)
		pk_timer_set(p->write, wait);
}

/* Reads the number of a text that the store has. Returns false where it has none of ours. */
static bool number_of(const char *text, uint64_t *number)
{
	own_json *doc = NULL;
	int64_t n;

	if (pk_json_parse("its key", text, strlen(text), PK_JSON_NEWER, &doc, NULL) < 0 ||
	    pk_json_int(pk_json_get(pk_json_root(doc), "number"), 0, PK_WORD_NUMBER_MAX, &n) < 0)
		return false;
	*number = (uint64_t)n;
	return true;
}

/* Returns whether a text that was written says what body does, whatever its number. */
static bool says_the_same(const char *body, const char *text)
{
	static const char number[] = "\"number\":";
	const char *at = strstr(body, number);
	const size_t n = at ? (size_t)(at - body) + strlen(number) : 0;
	size_t digits;

	if (!n || strncmp(body, text, n) != 0)
		return false;
	digits = strspn(text + n, "0123456789");
	return digits && strcmp(body + n + 1, text + n + digits) == 0;
}

void publish_take_shown(struct key *k)
{
	own_mem char *shown = k->body ? PK_MOVE(k->shown, NULL) : NULL;

	if (!shown || k->written || k->text || !says_the_same(k->body, shown))
		return;
	k->text = PK_MOVE(shown, NULL);
	k->written = k->known = true;
}

/*
 * Notes what the store has of a share of an earlier picketd's, the last answer's word until it is
 * taken. It is what that one wrote last where our session holds it and it has the number, 0 for
 * none, that was remembered of this key: a store that was restored may have an older one.
 */
static void recall_shown(struct pk_publish *p, struct key *k, const struct pk_kv *kv,
			 uint64_t number)
{
	if (!PK_MOVE(k->recalled, false) && !k->shown)
		return;
	free(PK_MOVE(k->shown, NULL));
	if (number && number == k->number && *p->session && kv->holder == pk_kv_holder(p->session))
		k->shown = pk_strdup(kv->value);
	publish_take_shown(k);
	pk_timer_hurry(p->write, 0);
}

/*
 * Goes on from the number of a text that the store has, so that a clock that was set back makes no
 * older words.
 */
void pk_publish_seen(struct pk_publish *p, const char *name, const struct pk_kv *kv)
{
	const char *text = kv ? kv->value : NULL;
	const bool held = kv && kv->held;
	uint64_t number = 0;
	struct key *k;

	if (text && number_of(text, &number) && number > p->number)
		p->number = number;
	HASH_FIND_STR(p->keys, name, k);
	if (k)
		recall_shown(p, k, kv, number);
	if (!k && text && !p->args.alone && pk_share_key_is_of(name, p->node)) {
		/* An earlier picketd wrote it: the next look ends it. */
		publish_key(p, name)->known = true;
		pk_publish_soon(p);
	}
	if (!k || !k->written || (k->body && text && held && strcmp(text, k->text) == 0))
		return;
	k->written = false;
	if (k->body && text && strcmp(text, k->text) != 0)
		free(PK_MOVE(k->text, NULL)); /* make it anew, with a number past that text's */
	/* Where our session doesn't hold it that has ended: get another one first. */
	pk_timer_hurry(held ? p->write : p->renew, 0);
}

const struct pk_source *pk_publish_source(const struct pk_publish *p)
{
	return &p->source;
}

void pk_publish_let(struct pk_publish *p, bool may)
{
	if (p->may_not == !may)
		return;
	p->may_not = !may;
	pk_publish_soon(p);
}

bool pk_publish_is_out(const struct pk_publish *p)
{
	return p->is_out;
}

bool pk_publish_is_contested(const struct pk_publish *p)
{
	return p->contested;
}

size_t pk_publish_behind(const struct pk_publish *p)
{
	size_t n = 0;

	for (const struct key *k = p->keys; k; k = k->hh.next)
		n += !k->written;
	return n;
}

struct pk_publish *pk_publish_new(const struct pk_publish_args *args)
{
	struct pk_publish *p = pk_alloc(sizeof(*p));
	own_str path = { 0 };

	p->args = *args;
	p->node = pk_strdup(args->node);
	p->prefix = pk_strdup(args->prefix);
	pk_str_addf(&path, "%s/var/lib/picket/published.json", args->config->paths.root);
	p->path = pk_str_take(&path);
	pk_source_start(&p->source);
	publish_recall(p);
	p->shows_by_ms = pk_loop_now(args->loop) + SHOWN_MS;
	p->look = pk_timer_new(args->loop, look, p);
	p->write = pk_timer_new(args->loop, write_next, p);
	p->renew = pk_timer_new(args->loop, publish_renew, p);
	pk_timer_set(p->renew, 0);
	pk_publish_soon(p);
	return p;
}

void pk_publish_free(struct pk_publish *p)
{
	struct key *k, *next;

	if (!p)
		return;
	pk_store_cancel(p->args.store, p->call);
	pk_store_cancel(p->args.store, p->session_call);
	pk_timer_free(p->look);
	pk_timer_free(p->write);
	pk_timer_free(p->renew);
	HASH_ITER (hh, p->keys, k, next)
		publish_drop(p, k);
	free(p->writing);
	free(p->writing_text);
	free(p->report);
	free(p->node);
	free(p->prefix);
	free(p->path);
	free(p);
}
