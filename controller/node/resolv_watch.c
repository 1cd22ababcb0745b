/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks by stat, not by inotify: resolv.conf is mostly a link into a directory that comes and goes
 * with a network manager, and whoever writes it replaces it.
 */
#include "resolv_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs.h"
#include "own.h"
#include "resolv.h"

#define LOOK_MS 2000

struct pk_resolv_watch {
	const struct pk_paths *paths;
	struct pk_timer *timer;
	struct stat seen[PK_RESOLV_FILES]; /* all zero: the file isn't there */
	pk_loop_fn *changed;
	void *arg;
};

/* Returns whether the file has changed since. */
static bool look_at(const struct pk_resolv_watch *w, size_t i, struct stat *seen)
{
	char path[PK_PATH_ROOM];
	struct stat now;
	bool same;

	snprintf(path, sizeof(path), "%s/%s", w->paths->root, pk_resolv_files[i]);
	if (stat(path, &now) < 0)
		now = (struct stat){ 0 };
	same = pk_fs_is_same(&now, seen);
	*seen = now;
	return !same;
}

static bool look(struct pk_resolv_watch *w)
{
	bool any = false;

	for (size_t i = 0; i < PK_RESOLV_FILES; i++)
		any |= look_at(w, i, &w->seen[i]);
	return any;
}

static void on_timer(void *arg)
{
	struct pk_resolv_watch *w = arg;

	pk_timer_set(w->timer, LOOK_MS);
	if (look(w))
		w->changed(w->arg);
}

struct pk_resolv_watch *pk_resolv_watch_new(struct pk_loop *loop, const struct pk_paths *paths,
					    pk_loop_fn *changed, void *arg)
{
	struct pk_resolv_watch *w = pk_alloc(sizeof(*w));

	w->paths = paths;
	w->changed = changed;
	w->arg = arg;
	look(w);
	w->timer = pk_timer_new(loop, on_timer, w);
	pk_timer_set(w->timer, LOOK_MS);
	return w;
}

void pk_resolv_watch_free(struct pk_resolv_watch *w)
{
	if (!w)
		return;
	pk_timer_free(w->timer);
	free(w);
}
