/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks by stat, not by inotify: resolv.conf is mostly a link into a directory that comes and goes
 * with a network manager, and whoever writes it replaces it.
 */
#include "resolv_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "own.h"
#include "resolv.h"

#define LOOK_MS 2000

struct look {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

struct pk_resolv_watch {
	const struct pk_paths *paths;
	struct pk_timer *timer;
	struct look seen[PK_RESOLV_FILES];
	pk_loop_fn *changed;
	void *arg;
};

/* Returns whether the file has changed since; one that isn't there is all zero. */
static bool look_at(const struct pk_resolv_watch *w, size_t i, struct look *seen)
{
	struct look now = { 0 };
	char path[PK_PATH_ROOM];
	struct stat st;
	bool same;

	snprintf(path, sizeof(path), "%s/%s", w->paths->root, pk_resolv_files[i]);
	if (stat(path, &st) == 0)
		now = (struct look){ st.st_dev, st.st_ino, st.st_size, st.st_mtim };
	same = now.device == seen->device && now.inode == seen->inode && now.size == seen->size &&
	       now.changed.tv_sec == seen->changed.tv_sec &&
	       now.changed.tv_nsec == seen->changed.tv_nsec;
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
