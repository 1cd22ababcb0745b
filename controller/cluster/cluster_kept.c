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

static void file_of(const struct pk_cluster *c, const char *key, struct pk_str *path)
{
	pk_str_addf(path, "%s/", c->directory);
	pk_str_add_percent(path, key, "-_");
}

void cluster_keep(struct pk_cluster *c, const char *key, const struct pk_kv *kv)
{
	own_str path = { 0 }, text = { 0 };

	file_of(c, key, &path);
	pk_str_addf(&text, "%llu %s\n", (unsigned long long)kv->created, key);
	pk_str_addn(&text, kv->value, kv->len);
	/* It isn't synced: after a crash Consul says it again. */
	if (!text.failed)
		pk_writer_file(c->args.writer, path.text, text.text, text.len);
}

void cluster_unkeep(const struct pk_cluster *c, const char *key)
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

void cluster_recall(struct pk_cluster *c)
{
	own_dir DIR *dir = opendir(c->directory);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (*e->d_name != '.')
			recall_one(c, e->d_name);
}
