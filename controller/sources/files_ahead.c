/* SPDX-License-Identifier: Apache-2.0 */
#include "files_ahead.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "docsource.h"
#include "fs.h"
#include "json.h"
#include "own.h"
#include "str.h"

#define YOUNG_NS 100000000

struct text {
	char *path, *text;
	size_t len;
	struct stat st;	   /* as it was before it was read */
	UT_hash_handle hh; /* by path */
};

struct pk_files_ahead {
	struct pk_files_ahead_args args;
	struct pk_docs_ahead *docs;
	struct text *texts;
	DIR *dir; /* as far as it is read; NULL: not yet, or whole */
};

bool pk_file_is_wanted(const char *name)
{
	size_t n = strlen(name);

	return name[0] != '.' && n > 5 && strcmp(name + n - 5, ".json") == 0;
}

char *pk_file_path(const char *directory, const char *name)
{
	own_str path = { 0 };
	char *text;

	pk_str_addf(&path, "%s/%s", directory, name);
	text = pk_str_take(&path);
	if (!text)
		abort();
	return text;
}

void pk_file_directory(const char *given, char **directory, char **above)
{
	size_t n = strlen(given), len;
	const char *slash;

	while (n > 1 && given[n - 1] == '/')
		n--;
	*directory = pk_strndup(given, n);
	slash = strrchr(*directory, '/');
	if (!slash) {
		*above = pk_strndup(".", 1);
		return;
	}
	len = slash == *directory ? 1
				  : (size_t)(slash - *directory); /* the parent of "/x" is "/" */
	*above = pk_strndup(*directory, len);
}

bool pk_file_is_young(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec - st->st_ctim.tv_sec) * 1000000000LL + now.tv_nsec -
		       st->st_ctim.tv_nsec <
	       YOUNG_NS;
}

static struct text *find(const struct pk_files_ahead *a, const char *path)
{
	struct text *t;

	HASH_FIND_STR(a->texts, path, t);
	return t;
}

static void drop(struct pk_files_ahead *a, struct text *t)
{
	HASH_DEL(a->texts, t);
	free(t->path);
	free(t->text);
	free(t);
}

/* Keeps the text for the look. It is the table's from then on. */
static void keep(struct pk_files_ahead *a, const char *path, const struct text *read)
{
	struct text *t = find(a, path);

	if (t)
		drop(a, t);
	t = pk_alloc(sizeof(*t));
	*t = *read;
	t->path = pk_strdup(path);
	HASH_ADD_KEYPTR(hh, a->texts, t->path, strlen(t->path), t);
}

/* Reads one file; what can't be read the look will say. Returns what it took. */
static size_t read_one(struct pk_files_ahead *a, const char *name)
{
	struct text read = { 0 };
	own_mem char *path = pk_file_path(a->args.directory, name), *text = NULL;
	const struct pk_doc_origin origin = { .source = PK_SOURCE_FILE, .path = path };
	bool young;
	size_t used;

	/* By its path, as the text is read: the directory may be another by now. */
	if (!pk_file_is_wanted(name) || stat(path, &read.st) < 0 ||
	    !a->args.is_new(a->args.arg, name, &read.st))
		return 1;
	young = pk_file_is_young(&read.st);
	if (pk_fs_read_own(path, PK_JSON_MAX, &text, &read.len, NULL) < 0)
		return 1;
	used = pk_docs_read_ahead(a->args.docs, a->docs, &origin, text, read.len);
	/* A file that changed just now may have another text soon, under the same times. */
	if (!young) {
		read.text = PK_MOVE(text, NULL);
		keep(a, path, &read);
	}
	return used;
}

bool pk_files_ahead_read(struct pk_files_ahead *a)
{
	size_t used = 0;

	a->dir = a->dir ?: opendir(a->args.directory);
	while (a->dir && used < PK_DOCS_TURN) {
		const struct dirent *e = readdir(a->dir);

		if (e)
			used += read_one(a, e->d_name);
		else
			closedir(PK_MOVE(a->dir, NULL));
	}
	return a->dir != NULL;
}

bool pk_files_ahead_take(struct pk_files_ahead *a, const char *path, const struct stat *st,
			 char **text, size_t *len)
{
	struct text *t = find(a, path);
	bool is_as_it_was = t && pk_fs_is_same(&t->st, st);

	if (is_as_it_was) {
		*text = PK_MOVE(t->text, NULL);
		*len = t->len;
	}
	if (t)
		drop(a, t);
	return is_as_it_was;
}

struct pk_docs_ahead *pk_files_ahead_docs(const struct pk_files_ahead *a)
{
	return a->docs;
}

void pk_files_ahead_clear(struct pk_files_ahead *a)
{
	while (a->texts)
		drop(a, a->texts);
	pk_docs_ahead_clear(a->docs);
	if (a->dir)
		closedir(PK_MOVE(a->dir, NULL));
}

struct pk_files_ahead *pk_files_ahead_new(const struct pk_files_ahead_args *args)
{
	struct pk_files_ahead *a = pk_alloc(sizeof(*a));

	a->args = *args;
	a->docs = pk_docs_ahead_new();
	return a;
}

void pk_files_ahead_free(struct pk_files_ahead *a)
{
	if (!a)
		return;
	pk_files_ahead_clear(a);
	pk_docs_ahead_free(a->docs);
	free(a);
}
