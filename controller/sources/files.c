/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <uthash.h>

#include "docsource.h"
#include "files_ahead.h"
#include "fs.h"
#include "json.h"
#include "log.h"
#include "own.h"
#include "service.h"
#include "str.h"

/* how long a file that went may come back: an editor renames it away, then writes it anew */
#define SETTLE_MS  15
#define STEP_MS	   100	/* between two looks; where both lack the same files the act has ended */
#define ACT_MS	   2000 /* an act that lasts longer is judged by what is gone so far */
#define LATER_MS   1000 /* until a new file that nobody closed is read */
#define AGAIN_MS   30000
#define MISSING_MS 1000 /* until the directory is looked for again */
/* a file that was changed so lately may change again under the same time stamp */
#define MASK                                                                                       \
	(IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB |        \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define ABOVE (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR)

struct seen {
	char *name;
	struct stat st;
	bool young; /* it was young when it was read: the next look reads it again */
	bool here;
	UT_hash_handle hh; /* by name */
};

struct pk_files {
	struct pk_loop *loop;
	struct pk_docs *docs;
	char *directory, *above; /* above: the directory that has its name, or the link's */
	int inotify, watch, watch_above;
	struct pk_watch *fd_watch;
	struct pk_timer *timer;
	struct pk_source source;
	struct seen *seen;
	struct pk_files_ahead *ahead;
	bool blind;	/* inotify doesn't work */
	bool first;	/* no look at the whole directory was made yet */
	size_t lacking; /* files that the last look lacked and that aren't taken as gone yet */
	uint64_t lacking_ms;
	pk_loop_fn *changed, *looked;
	void *arg, *looked_arg;
};

static struct seen *seen_of(struct pk_files *f, const char *name)
{
	struct seen *s;

	HASH_FIND_STR(f->seen, name, s);
	if (s)
		return s;
	s = pk_alloc(sizeof(*s));
	s->name = pk_strdup(name);
	HASH_ADD_KEYPTR(hh, f->seen, s->name, strlen(s->name), s);
	return s;
}

static void seen_free(struct pk_files *f, struct seen *s)
{
	HASH_DEL(f->seen, s);
	free(s->name);
	free(s);
}

static bool same(const struct seen *s, const struct stat *st)
{
	return !s->young && pk_fs_is_same(&s->st, st);
}

static void remember(struct seen *s, const struct stat *st)
{
	s->young = pk_file_is_young(st);
	s->st = *st;
}

static bool unreadable(struct pk_files *f, const char *path, const char *why)
{
	const struct pk_doc_origin origin = { .source = PK_SOURCE_FILE, .path = path };

	return pk_docs_unreadable(f->docs, &origin, why);
}

static bool offer(struct pk_files *f, const char *path, const struct stat *st)
{
	const struct pk_doc_origin origin = { .source = PK_SOURCE_FILE,
					      .path = path,
					      .ahead = pk_files_ahead_docs(f->ahead) };
	own_mem char *text = NULL;
	struct pk_err err = { 0 };
	size_t len;

	if (!(st && pk_files_ahead_take(f->ahead, path, st, &text, &len)) &&
	    pk_fs_read_own(path, PK_JSON_MAX, &text, &len, &err) < 0)
		return unreadable(f, path, err.text);
	return pk_docs_offer(f->docs, &origin, text, len);
}

/*
 * Returns whether the file's document was refused for something outside of its text, and may be
 * taken now.
 */
static bool waits(struct pk_files *f, const char *name)
{
	own_mem char *path = pk_file_path(f->directory, name);

	return pk_docs_waits(f->docs, PK_SOURCE_FILE, path);
}

/* Looks at one file. st is NULL for a dangling link, and in a directory that can't be searched. */
static bool look_at(struct pk_files *f, const char *name, const struct stat *st, bool any_waits)
{
	struct seen *s = seen_of(f, name);
	own_mem char *path = NULL;

	s->here = true;
	if (st && same(s, st) && !(any_waits && waits(f, name)))
		return false;
	path = pk_file_path(f->directory, name);
	if (st)
		remember(s, st);
	/* Only a regular file is opened: opening a pipe would block. */
	if (st && !S_ISREG(st->st_mode))
		return unreadable(f, path, "not a regular file");
	return offer(f, path, st);
}

static bool is_here(void *arg, const char *path)
{
	struct pk_files *f = arg;
	size_t n = strlen(f->directory);
	struct seen *s = NULL;

	if (strncmp(path, f->directory, n) == 0 && path[n] == '/')
		HASH_FIND_STR(f->seen, path + n + 1, s);
	return s != NULL;
}

static void forget_gone(struct pk_files *f)
{
	struct seen *s, *next;

	HASH_ITER (hh, f->seen, s, next)
		if (!s->here)
			seen_free(f, s);
}

static bool is_new(void *arg, const char *name, const struct stat *st)
{
	const struct pk_files *f = arg;
	struct seen *s;

	HASH_FIND_STR(f->seen, name, s);
	return S_ISREG(st->st_mode) && !(s && same(s, st));
}

/*
 * Returns whether the files that are gone can be judged: nothing more went since the look before,
 * or the act has lasted too long.
 */
static bool comes_to_an_end(struct pk_files *f, size_t lacking)
{
	uint64_t now = pk_loop_now(f->loop);
	size_t before = f->lacking;

	if (lacking < 2) {
		f->lacking = 0;
		return true;
	}
	if (!before)
		f->lacking_ms = now;
	if (lacking == before || now - f->lacking_ms >= ACT_MS) {
		f->lacking = 0;
		return true;
	}
	f->lacking = lacking;
	return false;
}

static void believe(struct pk_files *f, bool *any)
{
	const struct pk_docs_look look = { .of = PK_SOURCE_FILE,
					   .has = is_here,
					   .arg = f,
					   .why = "its file is gone",
					   .now_ms = pk_loop_now(f->loop),
					   .first = f->first };

	if (!comes_to_an_end(f, pk_docs_lacking(f->docs, &look)))
		return;
	f->first = false;
	*any |= pk_docs_looked(f->docs, &look);
}

/*
 * Looks at the whole directory, and sets *any where a document changed. On -errno it couldn't be
 * read, and no file counts as gone.
 */
static int scan(struct pk_files *f, bool *any)
{
	own_dir DIR *dir = opendir(f->directory);
	bool any_waits = pk_docs_any_waits(f->docs);
	struct dirent *e;
	struct stat st;

	if (!dir)
		return -errno;
	for (struct seen *s = f->seen; s; s = s->hh.next)
		s->here = false;
	errno = 0;
	while ((e = readdir(dir))) {
		if (pk_file_is_wanted(e->d_name))
			*any |= look_at(f, e->d_name,
					fstatat(dirfd(dir), e->d_name, &st, 0) == 0 ? &st : NULL,
					any_waits);
		errno = 0;
	}
	if (errno)
		return -errno;
	forget_gone(f);
	believe(f, any);
	return 0;
}

/* Watches a path. Each look does so again: another directory may have the name by now. */
static void watch_path(const struct pk_files *f, const char *path, uint32_t mask, int *watch)
{
	int now = inotify_add_watch(f->inotify, path, mask);

	if (*watch >= 0 && now != *watch)
		inotify_rm_watch(f->inotify, *watch);
	*watch = now;
}

static bool is_its_name(const struct pk_files *f, const struct inotify_event *e)
{
	const char *slash = strrchr(f->directory, '/');

	return e->len && strcmp(e->name, slash ? slash + 1 : f->directory) == 0;
}

/* Reports changes. Where there are any, refused documents are looked at again. */
static void tell(struct pk_files *f, bool any)
{
	if (!any)
		return;
	if (pk_docs_any_waits(f->docs))
		pk_timer_hurry(f->timer, SETTLE_MS);
	f->changed(f->arg);
}

static uint64_t pause_of(const struct pk_files *f, bool failed)
{
	if (f->lacking)
		return STEP_MS;
	return failed || f->watch < 0 ? MISSING_MS : AGAIN_MS;
}

static void on_inotify(void *arg);

/*
 * Opens inotify; tried again later, since a user's instances are limited and others may let go of
 * theirs.
 */
static void open_inotify(struct pk_files *f)
{
	if (f->inotify >= 0)
		return;
	f->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (f->inotify >= 0)
		f->fd_watch = pk_watch_fd(f->loop, f->inotify, on_inotify, f);
}

/*
 * Logs whether the kernel tells of changes. Where it doesn't the directory is looked at each
 * second.
 */
static void say_blind(struct pk_files *f, bool blind)
{
	if (blind && !f->blind)
		log_warn(
			"op=policies directory=%s err=\"no inotify: changes are looked for each "
			"second\" fix=\"raise fs.inotify.max_user_instances and max_user_watches\" "
			"ignoring",
			f->directory);
	f->blind = blind;
	snprintf(f->source.detail, sizeof(f->source.detail), "%.100s%s", f->directory,
		 blind ? ", looked at each second: no inotify" : "");
}

/* Notes that the directory can't be read, and how that is mended. */
static void failed(struct pk_files *f, int r)
{
	char why[sizeof(f->source.last_error)];

	if (f->source.failures == 0)
		log_warn("op=policies directory=%s err=\"%s\" keeping what is in force",
			 f->directory, strerror(-r));
	snprintf(why, sizeof(why),
		 "%.150s: %s" PK_SERVICE_FIX "put the directory back, or mount it", f->directory,
		 strerror(-r));
	pk_source_bad(&f->source, PK_FAULT_SILENT, why);
}

static void look(void *arg)
{
	struct pk_files *f = arg;
	bool any = false;
	int r;

	open_inotify(f);
	watch_path(f, f->above, ABOVE, &f->watch_above);
	watch_path(f, f->directory, MASK, &f->watch);
	r = scan(f, &any);
	/*
	 * A document that went may be what a refused one waits for, and they change places at once.
	 */
	if (r == 0 && any && pk_docs_any_waits(f->docs))
		r = scan(f, &any);
	if (r < 0)
		failed(f, r);
	else
		pk_source_good(&f->source);
	say_blind(f, r == 0 && f->watch < 0);
	pk_files_ahead_clear(f->ahead);
	pk_timer_set(f->timer, pause_of(f, r < 0));
	tell(f, any);
	if (f->looked)
		f->looked(f->looked_arg);
}

void pk_files_begin(struct pk_files *f)
{
	if (pk_files_ahead_read(f->ahead))
		pk_timer_set(f->timer, 0);
	else
		look(f);
}

static void on_timer(void *arg)
{
	pk_files_begin(arg);
}

enum todo { NOTHING, READ_IT, LOOK_LATER, LOOK_SOON };

/*
 * Chooses what an event asks for. A file that was closed or moved in is read alone, whatever the
 * directory's size.
 */
static enum todo todo_of(const struct pk_files *f, const struct inotify_event *e)
{
	own_mem char *path = NULL;
	struct stat st;

	if (e->wd == f->watch_above)
		return is_its_name(f, e) ? LOOK_SOON : NOTHING;
	if (e->wd != f->watch || !e->len)
		return LOOK_SOON;
	if (!pk_file_is_wanted(e->name))
		return NOTHING;
	if (!(e->mask & (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO)))
		return LOOK_SOON;
	path = pk_file_path(f->directory, e->name);
	/* A new regular file will be closed, which is another event; a new link won't. */
	if (e->mask & IN_CREATE && lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
		return LOOK_LATER;
	return READ_IT;
}

static void read_named(struct pk_files *f, const struct inotify_event *e, bool *any)
{
	own_mem char *path = pk_file_path(f->directory, e->name);
	struct stat st;

	if (stat(path, &st) == 0)
		*any |= look_at(f, e->name, &st, true);
	else
		pk_timer_hurry(f->timer, SETTLE_MS);
}

static const struct inotify_event *next_of(const struct inotify_event *e)
{
	return (const void *)((const char *)(e + 1) + e->len);
}

/* Takes the events of one read, from first to end. */
static void take_events(struct pk_files *f, const struct inotify_event *first,
			const struct inotify_event *end, bool *any)
{
	enum todo most = NOTHING;

	for (const struct inotify_event *e = first; e < end; e = next_of(e)) {
		enum todo todo = todo_of(f, e);

		most = todo > most ? todo : most;
	}
	if (most > READ_IT)
		pk_timer_hurry(f->timer, most == LOOK_SOON ? SETTLE_MS : LATER_MS);
	for (const struct inotify_event *e = first; most < LOOK_SOON && e < end; e = next_of(e))
		if (todo_of(f, e) == READ_IT)
			read_named(f, e, any);
}

static void on_inotify(void *arg)
{
	_Alignas(struct inotify_event) char buf[8192];
	struct pk_files *f = arg;
	bool any = false;
	ssize_t n;

	/* What is left comes with the next turn. */
	n = read(f->inotify, buf, sizeof(buf));
	if (n > 0)
		take_events(f, (const void *)buf, (const void *)(buf + n), &any);
	tell(f, any);
}

struct pk_files *pk_files_new(struct pk_loop *loop, struct pk_docs *docs, const char *directory,
			      pk_loop_fn *changed, void *arg)
{
	struct pk_files *f = pk_alloc(sizeof(*f));

	*f = (struct pk_files){ .loop = loop,
				.docs = docs,
				.inotify = -1,
				.watch = -1,
				.watch_above = -1,
				.first = true,
				.changed = changed,
				.arg = arg };
	pk_file_directory(directory, &f->directory, &f->above);
	pk_source_start(&f->source);
	f->timer = pk_timer_new(loop, on_timer, f);
	f->ahead = pk_files_ahead_new(&(struct pk_files_ahead_args){
		.docs = docs, .directory = f->directory, .is_new = is_new, .arg = f });
	return f;
}

bool pk_files_has(const struct pk_files *f, const char *path)
{
	return is_here((void *)f, path);
}

void pk_files_on_look(struct pk_files *f, pk_loop_fn *looked, void *arg)
{
	f->looked = looked;
	f->looked_arg = arg;
}

void pk_files_look(struct pk_files *f)
{
	look(f);
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
	pk_files_ahead_free(f->ahead);
	free(f->directory);
	free(f->above);
	free(f);
}

const struct pk_source *pk_files_source(const struct pk_files *f)
{
	return &f->source;
}
