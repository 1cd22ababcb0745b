/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps what was heard over a restart, a file for each key: "CREATED KEY\n", then the key's text.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_private.h"
#include "fs.h"
#include "log.h"
#include "own.h"

#define SLICE_NS 10000000 /* most time of one turn of handing files over */

/* A file that is to be written, or to go. */
struct kept {
	char *path, *text;
	size_t len;
	STAILQ_ENTRY(kept) link;
};

static void file_of(const struct pk_cluster *c, const char *key, struct pk_str *path)
{
	pk_str_addf(path, "%s/", c->directory);
	pk_str_add_percent(path, key, "-_");
}

/* Hands the oldest over to the writer. Returns false where there is none. */
static bool hand_over(struct pk_cluster *c)
{
	struct kept *k = STAILQ_FIRST(&c->kept);

	if (!k)
		return false;
	STAILQ_REMOVE_HEAD(&c->kept, link);
	/* It isn't synced: after a crash Consul says it again. */
	if (k->text)
		pk_writer_file(c->args.writer, k->path, k->text, k->len);
	else
		pk_writer_unlink(c->args.writer, k->path);
	free(k->path);
	free(k->text);
	free(k);
	return true;
}

void cluster_hand_over(void *arg)
{
	const uint64_t until = pk_now_ns() + SLICE_NS;
	struct pk_cluster *c = arg;

	while (hand_over(c))
		if (pk_now_ns() >= until) {
			pk_timer_set(c->keep, 0);
			return;
		}
}

void cluster_hand_over_all(struct pk_cluster *c)
{
	while (hand_over(c))
		;
}

/* Notes what a key's file is to be; text NULL: there is to be none. */
static void note(struct pk_cluster *c, const char *key, struct pk_str *text)
{
	struct kept *k = pk_alloc(sizeof(*k));
	own_str path = { 0 };

	file_of(c, key, &path);
	k->len = text ? text->len : 0;
	k->text = text ? pk_str_take(text) : NULL;
	k->path = pk_str_take(&path);
	if (!k->path)
		abort();
	STAILQ_INSERT_TAIL(&c->kept, k, link);
	pk_timer_hurry(c->keep, 0);
}

void cluster_keep(struct pk_cluster *c, const char *key, const struct pk_kv *kv)
{
	own_str text = { 0 };

	pk_str_addf(&text, "%llu %s\n", (unsigned long long)kv->created, key);
	pk_str_addn(&text, kv->value, kv->len);
	if (!text.failed)
		note(c, key, &text);
}

void cluster_unkeep(struct pk_cluster *c, const char *key)
{
	note(c, key, NULL);
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

void cluster_recall(struct pk_cluster *c)
{
	own_dir DIR *dir = opendir(c->directory);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (*e->d_name != '.')
			recall_one(c, e->d_name);
}
