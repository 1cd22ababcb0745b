/* SPDX-License-Identifier: GPL-2.0-only */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <uthash.h>

#include "fs.h"
#include "json.h"
#include "log.h"
#include "own.h"
#include "str.h"

#define SETTLE_MS  15 /* several files of one change are read together */
#define AGAIN_MS   30000
#define MISSING_MS 1000 /* until the directory is looked for again */
#define MASK                                                                                       \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF |   \
	 IN_MOVE_SELF | IN_ONLYDIR)

struct seen {
	char *path;
	struct timespec mtime, ctime;
	off_t size;
	ino_t inode;
	bool here;
	UT_hash_handle hh; /* by path */
};

struct pk_files {
	struct pk_docs *docs;
	char *directory;
	int inotify, watch;
	struct pk_watch *fd_watch;
	struct pk_timer *timer;
	struct pk_source source;
	struct seen *seen;
	pk_loop_fn *changed;
	void *arg;
};

static struct seen *seen_of(struct pk_files *f, const char *path)
{
	struct seen *s;

	HASH_FIND_STR(f->seen, path, s);
	if (s)
		return s;
	s = pk_alloc(sizeof(*s));
	s->path = strdup(path);
	if (!s->path)
		abort();
	HASH_ADD_KEYPTR(hh, f->seen, s->path, strlen(s->path), s);
	return s;
}

static void seen_free(struct pk_files *f, struct seen *s)
{
	HASH_DEL(f->seen, s);
	free(s->path);
	free(s);
}

static bool same(const struct seen *s, const struct stat *st)
{
	return s->inode == st->st_ino && s->size == st->st_size &&
	       memcmp(&s->mtime, &st->st_mtim, sizeof(s->mtime)) == 0 &&
	       memcmp(&s->ctime, &st->st_ctim, sizeof(s->ctime)) == 0;
}

static bool offer(struct pk_files *f, const char *path)
{
	const struct pk_doc_place place = { .source = "file", .path = path };
	own_mem char *text = NULL;
	struct pk_err err = { 0 };
	size_t len;

	if (pk_fs_read(path, PK_JSON_MAX, &text, &len, &err) < 0) {
		log_warn("op=policy path=%s err=\"%s\" keeping what is in force", path, err.text);
		return pk_docs_unreadable(f->docs, &place, err.text);
	}
	return pk_docs_offer(f->docs, &place, text, len);
}

static bool look_at(struct pk_files *f, const char *name)
{
	own_str path = { 0 };
	struct seen *s;
	struct stat st;

	pk_str_addf(&path, "%s/%s", f->directory, name);
	s = seen_of(f, path.text);
	s->here = true;
	if (stat(path.text, &st) == 0) {
		if (same(s, &st) && !pk_docs_waits(f->docs, "file", path.text))
			return false;
		s->inode = st.st_ino;
		s->size = st.st_size;
		s->mtime = st.st_mtim;
		s->ctime = st.st_ctim;
	}
	return offer(f, path.text);
}

static bool is_here(void *arg, const char *path)
{
	struct pk_files *f = arg;
	struct seen *s;

	HASH_FIND_STR(f->seen, path, s);
	return s != NULL;
}

static void forget_gone(struct pk_files *f)
{
	struct seen *s, *next;

	HASH_ITER (hh, f->seen, s, next)
		if (!s->here)
			seen_free(f, s);
}

static bool wanted(const char *name)
{
	size_t n = strlen(name);

	return name[0] != '.' && n > 5 && strcmp(name + n - 5, ".json") == 0;
}

/* 0 and *any, or -errno where the directory can't be read whole: nothing is taken as gone then. */
static int scan(struct pk_files *f, bool *any)
{
	own_dir DIR *dir = opendir(f->directory);
	struct dirent *e;

	if (!dir)
		return -errno;
	for (struct seen *s = f->seen; s; s = s->hh.next)
		s->here = false;
	errno = 0;
	while ((e = readdir(dir))) {
		if (wanted(e->d_name))
			*any |= look_at(f, e->d_name);
		errno = 0;
	}
	if (errno)
		return -errno;
	forget_gone(f);
	*any |= pk_docs_prune(f->docs, "file", is_here, f);
	return 0;
}

static void look(void *arg)
{
	struct pk_files *f = arg;
	bool any = false;
	int r;

	if (f->watch < 0)
		f->watch = inotify_add_watch(f->inotify, f->directory, MASK);
	r = scan(f, &any);
	if (r < 0) {
		if (f->source.failures == 0)
			log_warn("op=policies directory=%s err=\"%s\" keeping what is in force",
				 f->directory, strerror(-r));
		pk_source_bad(&f->source, strerror(-r));
	} else {
		pk_source_good(&f->source);
	}
	pk_timer_set(f->timer, r < 0 || f->watch < 0 ? MISSING_MS : AGAIN_MS);
	if (any)
		f->changed(f->arg);
}

static void on_inotify(void *arg)
{
	_Alignas(struct inotify_event) char buf[8192];
	struct pk_files *f = arg;
	ssize_t n;

	while ((n = read(f->inotify, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const void *)p;

			if (e->mask & IN_MOVE_SELF && e->wd == f->watch)
				inotify_rm_watch(f->inotify, f->watch);
			if (e->mask & (IN_IGNORED | IN_MOVE_SELF) && e->wd == f->watch)
				f->watch = -1;
			p += sizeof(*e) + e->len;
		}
	}
	pk_timer_hurry(f->timer, SETTLE_MS);
}

struct pk_files *pk_files_new(struct pk_loop *loop, struct pk_docs *docs, const char *directory,
			      pk_loop_fn *changed, void *arg)
{
	struct pk_files *f = pk_alloc(sizeof(*f));

	*f = (struct pk_files){ .docs = docs, .watch = -1, .changed = changed, .arg = arg };
	f->directory = strdup(directory);
	f->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (!f->directory)
		abort();
	f->source.state = PK_SOURCE_STARTING;
	snprintf(f->source.detail, sizeof(f->source.detail), "%s", directory);
	f->timer = pk_timer_new(loop, look, f);
	if (f->inotify >= 0)
		f->fd_watch = pk_watch_fd(loop, f->inotify, on_inotify, f);
	look(f);
	return f;
}

void pk_files_free(struct pk_files *f)
{
	if (!f)
		return;
	pk_watch_free(f->fd_watch);
	pk_timer_free(f->timer);
	if (f->inotify >= 0)
		close(f->inotify);
	while (f->seen)
		seen_free(f, f->seen);
	free(f->directory);
	free(f);
}

const struct pk_source *pk_files_source(const struct pk_files *f)
{
	return &f->source;
}
