/* SPDX-License-Identifier: Apache-2.0 */
#include "docstore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "docsource.h"
#include "fs.h"
#include "own.h"
#include "str.h"

#define HEAD	   "// picket: name="
#define HEAD_PATH  " path="
#define HEAD_INDEX " index="
#define TEXT_MAX   (2u << 20) /* the largest document and its head */
#define NAME_PART  160	      /* bytes of a file's name before its hash stands for the rest */

static void encode(struct pk_str *out, const char *text)
{
	/* A name never begins with a dot. */
	if (*text == '.') {
		pk_str_add(out, "%2E");
		text++;
	}
	pk_str_add_percent(out, text, "-_.");
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes text in place; -EINVAL for what encode didn't write. */
static int decode(char *text)
{
	char *to = text;

	for (char *p = text; *p; p++) {
		if (*p != '%') {
			*to++ = *p;
			continue;
		}
		if (hex(p[1]) < 0 || hex(p[2]) < 0 || (p[1] == '0' && p[2] == '0'))
			return -EINVAL;
		*to++ = (char)(hex(p[1]) << 4 | hex(p[2]));
		p += 2;
	}
	*to = '\0';
	return 0;
}

/*
 * Adds the directory below which an origin's documents are. Consul's stand without their origin,
 * where the release before wrote them and looks for them: neither an upgrade nor the way back may
 * lose a document.
 */
static void add_base(struct pk_str *path, const char *directory, const char *origin)
{
	pk_str_add(path, directory);
	if (pk_source_in(origin, PK_ORIGIN_NOMAD))
		pk_str_add(path, "/" PK_ORIGIN_NOMAD);
}

/* base/source/file */
static char *path_of(const char *directory, const char *source, const char *name)
{
	const char *part = pk_source_is_shared(source) ? strchr(source, '/') + 1 : source;
	const char *slash = strchr(part, '/');
	own_str path = { 0 };
	own_str file = { 0 };
	uint64_t hash[2];

	add_base(&path, directory, source);
	pk_str_addf(&path, "/%.*s/", slash ? (int)(slash - part) : (int)strlen(part), part);
	if (slash) {
		encode(&path, slash + 1);
		pk_str_add(&path, "/");
	}
	encode(&file, name);
	if (file.len > NAME_PART) {
		pk_hash128(name, strlen(name), hash);
		file.text[NAME_PART] = '\0';
		pk_str_addf(&path, "%s-%016lx%016lx", file.text, hash[0], hash[1]);
	} else {
		pk_str_add(&path, file.text ?: "%");
	}
	return pk_str_take(&path);
}

/* The directory of a tenant. */
static char *tenant_path(const char *directory, const char *origin, const char *tenant_name)
{
	own_str source = { 0 };
	char *path;

	pk_str_addf(&source, "%s" PK_SOURCE_TENANT "%s", origin, tenant_name);
	path = source.failed ? NULL : path_of(directory, source.text, "");
	if (path)
		*strrchr(path, '/') = '\0';
	return path;
}

bool pk_docstore_is(const char *directory, const char *source, const char *name, const char *file)
{
	own_mem char *path = path_of(directory, source, name);

	return path && strcmp(path, file) == 0;
}

int pk_docstore_put(const char *directory, const struct pk_stored_doc *doc, struct pk_err *err)
{
	own_mem char *path = path_of(directory, doc->source, doc->name);
	own_str text = { 0 };
	char *slash;
	int r;

	pk_str_add(&text, HEAD);
	encode(&text, doc->name);
	pk_str_add(&text, HEAD_PATH);
	encode(&text, doc->path);
	if (doc->index)
		pk_str_addf(&text, HEAD_INDEX "%llu", (unsigned long long)doc->index);
	pk_str_add(&text, "\n");
	pk_str_addn(&text, doc->text, doc->len);
	if (!path || text.failed)
		return pk_fail(err, ENOMEM, "store %s", doc->name);
	slash = strrchr(path, '/');
	*slash = '\0';
	r = pk_fs_mkdirs(path, 0700, err);
	*slash = '/';
	return r < 0 ? r : pk_fs_write_quick(path, text.text, text.len, 0600, err);
}

int pk_docstore_sync(const char *directory, const char *source, const char *name,
		     struct pk_err *err)
{
	own_mem char *path = path_of(directory, source, name ?: "");
	own_fd int fd = -1;

	if (!path)
		return pk_fail(err, ENOMEM, "sync %s", directory);
	if (!name)
		*strrchr(path, '/') = '\0';
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fsync(fd) < 0)
		return pk_fail(err, errno, "sync %s", path);
	return 0;
}

int pk_docstore_remove(const char *directory, const char *source, const char *name,
		       struct pk_err *err)
{
	own_mem char *path = path_of(directory, source, name);

	if (!path)
		return pk_fail(err, ENOMEM, "remove %s", name);
	if (unlink(path) < 0 && errno != ENOENT)
		return pk_fail(err, errno, "remove %s", path);
	return 0;
}

/* Release 0.1 wrote no index. */
static uint64_t index_in(const char *head)
{
	const char *at = strstr(head, HEAD_INDEX);

	return at ? strtoull(at + strlen(HEAD_INDEX), NULL, 10) : 0;
}

/* Splits the head off; name and path point into it afterwards. */
static int read_head(char *text, size_t len, struct pk_stored_doc *doc)
{
	char *end = memchr(text, '\n', len), *name = text + strlen(HEAD), *path;

	if (!end || strncmp(text, HEAD, strlen(HEAD)) != 0)
		return -EINVAL;
	*end = '\0';
	path = strstr(name, HEAD_PATH);
	if (!path)
		return -EINVAL;
	*path = '\0';
	path += strlen(HEAD_PATH);
	doc->index = index_in(path);
	/* A newer release may say more; what stands there never holds a blank. */
	path[strcspn(path, " ")] = '\0';
	doc->name = name;
	doc->path = path;
	doc->text = end + 1;
	doc->len = len - (size_t)(end + 1 - text);
	return decode(name) < 0 || decode(path) < 0 ? -EINVAL : 0;
}

int pk_docstore_text(const char *directory, const char *source, const char *name, char **text,
		     size_t *len, struct pk_err *err)
{
	own_mem char *path = path_of(directory, source, name);
	own_mem char *whole = NULL;
	struct pk_stored_doc doc = { 0 };
	size_t n;
	int r = path ? pk_fs_read_own(path, TEXT_MAX, &whole, &n, err)
		     : pk_fail(err, ENOMEM, "%s", name);

	if (r < 0)
		return r;
	if (read_head(whole, n, &doc) < 0)
		return pk_fail(err, 0, "%s is no stored document", path);
	memmove(whole, doc.text, doc.len);
	whole[doc.len] = '\0';
	*len = doc.len;
	*text = PK_MOVE(whole, NULL);
	return 0;
}

struct walk {
	pk_docstore_fn *fn;
	pk_docstore_bad_fn *bad;
	void *arg;
	struct pk_err *err;
};

/*
 * Deals with a document that can't be read: it ends the walk, unless the caller wants to know of
 * all of them.
 */
static int skip(const struct walk *w, const struct pk_stored_doc *doc, int r,
		const struct pk_err *err)
{
	if (w->bad) {
		w->bad(w->arg, doc, err);
		return 0;
	}
	if (w->err)
		*w->err = *err;
	return r;
}

static int skip_directory(const struct walk *w, const char *directory, const char *source, int num)
{
	const struct pk_stored_doc doc = { .source = source, .file = directory };
	struct pk_err err = { 0 };

	return skip(w, &doc, pk_fail(&err, num, "read directory %s", directory), &err);
}

static int visit_file(const struct walk *w, const char *file, struct pk_stored_doc *doc)
{
	own_mem char *text = NULL;
	struct pk_err err = { 0 };
	struct stat st;
	size_t len;
	int r = pk_fs_read_own(file, TEXT_MAX, &text, &len, &err);

	if (r == -ENOENT) /* removed since the directory was read: out of force */
		return 0;
	if (r == 0 && read_head(text, len, doc) < 0)
		r = pk_fix(&err, pk_fail(&err, 0, "%s is no stored document", file),
			   "remove it; picketd stores its documents again when it starts");
	doc->file = file;
	if (r < 0)
		return skip(w, doc, r, &err);
	if (stat(file, &st) == 0)
		doc->time = st.st_mtim;
	return w->fn(w->arg, doc, w->err);
}

static int visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int visit_source(const struct walk *w, const char *directory, const char *source,
			const char *tenant_name)
{
	struct dirent **list;
	int n = scandir(directory, &list, visible, by_bytes), r = 0;

	if (n < 0)
		return errno == ENOENT ? 0 : skip_directory(w, directory, source, errno);
	for (int i = 0; i < n; i++) {
		struct pk_stored_doc doc = { .source = source, .tenant_name = tenant_name };
		own_str file = { 0 };

		pk_str_addf(&file, "%s/%s", directory, list[i]->d_name);
		if (r == 0)
			r = visit_file(w, file.text, &doc);
		free(list[i]);
	}
	free(list);
	return r;
}

static int visit_tenants(const struct walk *w, const char *directory, const char *origin)
{
	own_str base = { 0 };
	struct dirent **list;
	int n, r = 0;

	add_base(&base, directory, origin);
	pk_str_add(&base, "/tenant");
	n = scandir(base.text, &list, visible, by_bytes);
	if (n < 0)
		return errno == ENOENT ? 0 : skip_directory(w, base.text, origin, errno);
	for (int i = 0; i < n; i++) {
		own_str path = { 0 };
		own_str source = { 0 };

		pk_str_addf(&path, "%s/%s", base.text, list[i]->d_name);
		if (r == 0 && decode(list[i]->d_name) == 0) {
			pk_str_addf(&source, "%s" PK_SOURCE_TENANT "%s", origin, list[i]->d_name);
			r = visit_source(w, path.text, source.text, list[i]->d_name);
		}
		free(list[i]);
	}
	free(list);
	return r;
}

/*
 * The sources that are no tenant's. One that lacks here has its documents kept, and not read at the
 * next start.
 */
static const struct {
	const char *source, *directory;
} whole_sources[] = {
	{ PK_SOURCE_FILE, "file" },
	{ PK_ORIGIN_CONSUL PK_SOURCE_OPERATOR, "operator" },
	{ PK_ORIGIN_NOMAD PK_SOURCE_OPERATOR, PK_ORIGIN_NOMAD PK_SOURCE_OPERATOR },
};
/* The stores that tenants have documents in. */
static const char *const origins[] = { PK_ORIGIN_CONSUL, PK_ORIGIN_NOMAD };

static int visit_whole(const struct walk *w, const char *directory)
{
	int r = 0;

	for (size_t i = 0; i < PK_ARRAY_LEN(whole_sources) && r == 0; i++) {
		own_str path = { 0 };

		pk_str_addf(&path, "%s/%s", directory, whole_sources[i].directory);
		r = visit_source(w, path.text, whole_sources[i].source, NULL);
	}
	return r;
}

int pk_docstore_walk(const char *directory, pk_docstore_fn *fn, pk_docstore_bad_fn *bad, void *arg,
		     struct pk_err *err)
{
	struct walk w = { .fn = fn, .bad = bad, .arg = arg, .err = err };
	int r = visit_whole(&w, directory);

	for (size_t i = 0; i < PK_ARRAY_LEN(origins) && r == 0; i++)
		r = visit_tenants(&w, directory, origins[i]);
	return r;
}

int pk_docstore_walk_tenant(const char *directory, const char *tenant_name, pk_docstore_fn *fn,
			    void *arg, struct pk_err *err)
{
	struct walk w = { .fn = fn, .arg = arg, .err = err };
	int r = visit_whole(&w, directory);

	for (size_t i = 0; i < PK_ARRAY_LEN(origins) && r == 0 && tenant_name; i++) {
		own_mem char *path = tenant_path(directory, origins[i], tenant_name);
		own_str source = { 0 };

		pk_str_addf(&source, "%s" PK_SOURCE_TENANT "%s", origins[i], tenant_name);
		r = path ? visit_source(&w, path, source.text, tenant_name)
			 : pk_fail(err, ENOMEM, "read the policies of %s", tenant_name);
	}
	return r;
}

/* A hidden name: older releases pass over it. */
static char *each_path(const char *directory, const char *origin)
{
	own_str path = { 0 };

	add_base(&path, directory, origin);
	pk_str_add(&path, "/tenant/.each");
	return pk_str_take(&path);
}

bool pk_docstore_is_each(const char *directory, const char *origin)
{
	own_mem char *path = directory ? each_path(directory, origin) : NULL;

	return path && access(path, F_OK) == 0;
}

int pk_docstore_set_each(const char *directory, const char *origin, bool each, struct pk_err *err)
{
	own_mem char *path = each_path(directory, origin);
	int r;

	if (!path)
		return pk_fail(err, ENOMEM, "store %s", directory);
	if (pk_docstore_is_each(directory, origin) == each)
		return 0;
	if (!each)
		return unlink(path) < 0 ? pk_fail(err, errno, "remove %s", path) : 0;
	*strrchr(path, '/') = '\0';
	r = pk_fs_mkdirs(path, 0700, err);
	path[strlen(path)] = '/';
	return r < 0 ? r : pk_fs_write(path, "", 0, 0600, err);
}

bool pk_docstore_knows(const char *directory, const char *tenant_name)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(origins); i++) {
		own_mem char *path = NULL;

		if (!pk_docstore_is_each(directory, origins[i]))
			continue;
		path = tenant_path(directory, origins[i], tenant_name);
		if (!path || access(path, F_OK) != 0)
			return false;
	}
	return true;
}

int pk_docstore_make(const char *directory, const char *origin, const char *tenant_name,
		     struct pk_err *err)
{
	own_mem char *path = tenant_path(directory, origin, tenant_name);

	return path ? pk_fs_mkdirs(path, 0700, err) : pk_fail(err, ENOMEM, "store %s", tenant_name);
}

void pk_docstore_unmake(const char *directory, const char *origin, const char *tenant_name)
{
	own_mem char *path = tenant_path(directory, origin, tenant_name);

	if (path)
		rmdir(path);
}

void pk_docstore_tenants(const char *directory, const char *origin,
			 void (*fn)(void *arg, const char *tenant_name), void *arg)
{
	own_str path = { 0 };
	struct dirent **list;
	int n;

	add_base(&path, directory, origin);
	pk_str_add(&path, "/tenant");
	n = scandir(path.text, &list, visible, by_bytes);
	for (int i = 0; i < n; i++) {
		if (decode(list[i]->d_name) == 0)
			fn(arg, list[i]->d_name);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}
