/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of records: names, list, close, delete. Content: record_json.c. */
#include "epstore.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "fs.h"
#include "record_json.h"
#include "str.h"

#define RECORD_MAX (1u << 20)
#define CLOSED	   ".closed" /* the first release's, in the same directory */
#define CLOSED_DIR "closed"
#define FILE_ROOM  (PK_CNI_ID_MAX + PK_IFNAME_MAX + 32)

void pk_record_done(struct pk_record *record)
{
	char **const text[] = {
		&record->container_id, &record->ifname,	     &record->network, &record->netns,
		&record->labels,       &record->tenant_name, &record->job,     &record->group,
		&record->tap,	       &record->version,     &record->result,  &record->created,
		&record->search,       &record->declared,
	};

	for (size_t i = 0; i < PK_ARRAY_LEN(text); i++)
		free(*text[i]);
	free(record->ports);
	memset(record, 0, sizeof(*record));
}

size_t pk_record_servers(const struct pk_record *record, union pk_addr servers[2 * PK_TOLD_SERVERS])
{
	size_t n = 0;

	for (size_t i = 0; i < PK_TOLD_SERVERS; i++)
		if (!pk_addr_is_zero(&record->dns4[i]))
			servers[n++] = record->dns4[i];
	for (size_t i = 0; i < PK_TOLD_SERVERS; i++)
		if (!pk_addr_is_zero(&record->dns6[i]))
			servers[n++] = record->dns6[i];
	return n;
}

/* Cuts the last `@…` off text; NULL where there is none. */
static char *cut(char *text)
{
	char *at = strrchr(text, '@');

	if (at)
		*at++ = '\0';
	return at;
}

int pk_record_name_parse(const char *file, struct pk_record_name *name)
{
	char text[FILE_ROOM];
	size_t len = strlen(file), tail = strlen(CLOSED);
	char *slot, *ifname;
	uint64_t number;

	memset(name, 0, sizeof(*name));
	if (len >= sizeof(text) || file[0] == '.')
		return -EINVAL;
	memcpy(text, file, len + 1);
	if (len > tail && !strcmp(text + len - tail, CLOSED)) {
		name->closed = true;
		text[len - tail] = '\0';
	}
	slot = cut(text);
	ifname = slot ? cut(text) : NULL;
	if (!ifname || !*text || !*ifname || strlen(text) > PK_CNI_ID_MAX ||
	    strlen(ifname) > PK_IFNAME_MAX)
		return -EINVAL;
	if (pk_parse_u64(slot, PK_CAPACITY_MAX, &number) < 0)
		return -EINVAL;
	name->slot = (uint32_t)number;
	strcpy(name->container_id, text);
	strcpy(name->ifname, ifname);
	return 0;
}

const char *pk_record_owner(const struct pk_record_name *name,
			    char text[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2])
{
	snprintf(text, PK_CNI_ID_MAX + PK_IFNAME_MAX + 2, "%s@%s", name->container_id,
		 name->ifname);
	return text;
}

static void make_path(const struct pk_paths *paths, const struct pk_record_name *name, bool closed,
		      char path[PK_PATH_ROOM + FILE_ROOM])
{
	snprintf(path, PK_PATH_ROOM + FILE_ROOM, "%s/%s%s@%s@%u", paths->endpoints,
		 closed ? CLOSED_DIR "/" : "", name->container_id, name->ifname, name->slot);
}

static void make_old_path(const struct pk_paths *paths, const struct pk_record_name *name,
			  char path[PK_PATH_ROOM + FILE_ROOM])
{
	snprintf(path, PK_PATH_ROOM + FILE_ROOM, "%s/%s@%s@%u" CLOSED, paths->endpoints,
		 name->container_id, name->ifname, name->slot);
}

static int by_name(const void *a, const void *b)
{
	const struct pk_record_name *x = a, *y = b;
	int r = x->closed - y->closed;

	r = r ? r : strcmp(x->container_id, y->container_id);
	r = r ? r : strcmp(x->ifname, y->ifname);
	return r ? r : (int)x->slot - (int)y->slot;
}

/* Calls each for every record's name in endpoints/, or in closed/, until it returns non-zero. */
static int walk(const struct pk_paths *paths, bool closed,
		int (*each)(void *arg, const struct pk_record_name *), void *arg,
		struct pk_err *err)
{
	char path[PK_PATH_ROOM + FILE_ROOM];
	own_dir DIR *dir = NULL;
	const struct dirent *d;
	int r = 0;

	snprintf(path, sizeof(path), "%s%s", paths->endpoints, closed ? "/" CLOSED_DIR : "");
	dir = opendir(path);
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return pk_code(err, pk_fail(err, errno, "open %s", path), PK_CODE_STATE);
	while (r == 0 && (d = readdir(dir))) {
		struct pk_record_name name;

		if (pk_record_name_parse(d->d_name, &name) < 0)
			continue;
		name.closed |= closed;
		r = each(arg, &name);
	}
	return r;
}

struct names {
	struct pk_record_name *list;
	size_t n, room;
};

static int add_name(void *arg, const struct pk_record_name *name)
{
	struct names *names = arg;

	if (names->n == names->room) {
		names->room = names->room ? names->room * 2 : 32;
		names->list = realloc(names->list, names->room * sizeof(*name));
		if (!names->list)
			abort();
	}
	names->list[names->n++] = *name;
	return 0;
}

int pk_records_list(const struct pk_paths *paths, struct pk_record_name **list, size_t *n,
		    struct pk_err *err)
{
	struct names names = { 0 };
	int r = walk(paths, false, add_name, &names, err);

	if (r == 0)
		r = walk(paths, true, add_name, &names, err);
	if (r < 0) {
		free(names.list);
		return r;
	}
	if (names.n)
		qsort(names.list, names.n, sizeof(*names.list), by_name);
	*list = names.list;
	*n = names.n;
	return 0;
}

struct some {
	struct pk_record_name *list;
	size_t n, room;
};

static int add_some(void *arg, const struct pk_record_name *name)
{
	struct some *some = arg;

	if (some->n == some->room)
		return 1;
	some->list[some->n++] = *name;
	return 0;
}

size_t pk_records_list_closed(const struct pk_paths *paths, struct pk_record_name *list, size_t n)
{
	struct some some = { .list = list, .room = n };

	walk(paths, true, add_some, &some, NULL);
	return some.n;
}

static int count_one(void *arg, const struct pk_record_name *name)
{
	(void)name;
	++*(size_t *)arg;
	return 0;
}

size_t pk_records_count_closed(const struct pk_paths *paths)
{
	size_t n = 0;

	walk(paths, true, count_one, &n, NULL);
	return n;
}

static int is_it(void *arg, const struct pk_record_name *name)
{
	struct pk_record_name *want = arg;

	if (name->closed || strcmp(name->container_id, want->container_id) ||
	    strcmp(name->ifname, want->ifname))
		return 0;
	*want = *name;
	return 1;
}

int pk_record_find(const struct pk_paths *paths, const char *container_id, const char *ifname,
		   struct pk_record_name *name, struct pk_err *err)
{
	struct pk_record_name want = { 0 };
	int r;

	if (strlen(container_id) > PK_CNI_ID_MAX || strlen(ifname) > PK_IFNAME_MAX)
		return -ENOENT;
	strcpy(want.container_id, container_id);
	strcpy(want.ifname, ifname);
	r = walk(paths, false, is_it, &want, err);
	if (r < 0)
		return r;
	if (r == 0)
		return -ENOENT;
	*name = want;
	return 0;
}

int pk_records_make(const struct pk_paths *paths, struct pk_err *err)
{
	char dir[PK_PATH_ROOM + FILE_ROOM];

	snprintf(dir, sizeof(dir), "%s/" CLOSED_DIR, paths->endpoints);
	return pk_fs_mkdirs(dir, 0700, err);
}

void pk_records_unmake(const struct pk_paths *paths)
{
	char dir[PK_PATH_ROOM + FILE_ROOM];

	snprintf(dir, sizeof(dir), "%s/" CLOSED_DIR, paths->endpoints);
	rmdir(dir);
}

bool pk_record_exists(const struct pk_paths *paths, const struct pk_record_name *name)
{
	char path[PK_PATH_ROOM + FILE_ROOM];

	make_path(paths, name, name->closed, path);
	return access(path, F_OK) == 0;
}

static int fail_state(struct pk_err *err, int r, const char *path)
{
	pk_wrap(err, r, "record %s", path);
	/*
	 * A record that is no JSON is trouble with the state directory, not with the caller's
	 * input.
	 */
	if (err)
		err->code = PK_CODE_STATE;
	pk_fs_fix(err, r);
	return pk_fix(err, r, "make room in the state directory, writable for root");
}

static bool is_of(const struct pk_record *record, const struct pk_record_name *name)
{
	return !strcmp(record->container_id, name->container_id) &&
	       !strcmp(record->ifname, name->ifname) && (record->slot == name->slot || !name->slot);
}

int pk_record_read(const struct pk_paths *paths, const struct pk_record_name *name,
		   struct pk_record *record, struct pk_err *err)
{
	char path[PK_PATH_ROOM + FILE_ROOM];
	own_record read = { 0 };
	own_mem char *text = NULL;
	size_t len;
	int r;

	make_path(paths, name, name->closed, path);
	if (name->closed && access(path, F_OK) < 0)
		make_old_path(paths, name, path);
	r = pk_fs_read_own(path, RECORD_MAX, &text, &len, err);
	if (r == 0)
		r = pk_record_decode(path, text, len, &read, err);
	if (r == 0 && !is_of(&read, name))
		r = pk_fail(err, 0, "tells of another endpoint than its name");
	if (r < 0) {
		pk_fix(err, r, "stop the allocation: DEL needs no more than the record's name");
		return fail_state(err, r, path);
	}
	read.closed = name->closed;
	*record = PK_MOVE(read, (struct pk_record){ 0 });
	return 0;
}

int pk_record_name_of(const char *container_id, const char *ifname, uint32_t slot,
		      struct pk_record_name *name)
{
	memset(name, 0, sizeof(*name));
	if (!container_id || !ifname || strlen(container_id) > PK_CNI_ID_MAX ||
	    strlen(ifname) > PK_IFNAME_MAX || strpbrk(container_id, "@/") || strpbrk(ifname, "@/"))
		return -EINVAL;
	strcpy(name->container_id, container_id);
	strcpy(name->ifname, ifname);
	name->slot = slot;
	return 0;
}

int pk_record_write(const struct pk_paths *paths, const struct pk_record *record,
		    struct pk_err *err)
{
	char path[PK_PATH_ROOM + FILE_ROOM];
	PK_OWN(pk_str_done) struct pk_str text = { .cap = RECORD_MAX };
	struct pk_record_name name;
	int r;

	if (pk_record_name_of(record->container_id, record->ifname, record->slot, &name) < 0)
		return pk_code(err, pk_fail(err, 0, "record of an endpoint without a proper name"),
			       PK_CODE_STATE);
	make_path(paths, &name, record->closed, path);
	pk_record_encode(record, &text);
	if (text.failed)
		return fail_state(err, pk_fail(err, E2BIG, "too long"), path);
	r = pk_fs_write(path, text.text, text.len, 0600, err);
	if (r == -ENOENT) {
		r = pk_fs_mkdirs(paths->endpoints, 0700, err);
		if (r == 0)
			r = pk_fs_write(path, text.text, text.len, 0600, err);
	}
	pk_fault("record-written");
	return r < 0 ? fail_state(err, r, path) : 0;
}

/*
 * Closes once more where the record is gone, or closed/ was never made, or the disk has no room for
 * one more name there. In the last case the first release's form has to do.
 */
static int close_again(const struct pk_paths *paths, const struct pk_record_name *name,
		       const char *from, const char *to)
{
	char dir[PK_PATH_ROOM + FILE_ROOM], old[PK_PATH_ROOM + FILE_ROOM];

	if (access(from, F_OK) < 0)
		return 0;
	snprintf(dir, sizeof(dir), "%s/" CLOSED_DIR, paths->endpoints);
	if (pk_fs_mkdirs(dir, 0700, NULL) == 0 && rename(from, to) == 0)
		return 0;
	make_old_path(paths, name, old);
	return rename(from, old) < 0 && errno != ENOENT ? -errno : 0;
}

int pk_record_close(const struct pk_paths *paths, const struct pk_record_name *name,
		    struct pk_err *err)
{
	char from[PK_PATH_ROOM + FILE_ROOM], to[PK_PATH_ROOM + FILE_ROOM];

	make_path(paths, name, false, from);
	make_path(paths, name, true, to);
	if (rename(from, to) < 0) {
		int r = close_again(paths, name, from, to);

		if (r < 0)
			return fail_state(err, pk_fail(err, -r, "close"), from);
	}
	pk_fault("record-closed");
	return 0;
}

int pk_record_outlive(const struct pk_paths *paths, const struct pk_record_name *name,
		      struct pk_err *err)
{
	char from[PK_PATH_ROOM + FILE_ROOM], to[PK_PATH_ROOM + FILE_ROOM];
	struct pk_record_name old = *name;

	old.slot = 0;
	make_path(paths, name, false, from);
	make_path(paths, &old, false, to);
	if (rename(from, to) < 0 && errno != ENOENT)
		return fail_state(err, pk_fail(err, errno, "rename"), from);
	pk_fault("record-outlived");
	return 0;
}

int pk_record_delete(const struct pk_paths *paths, const struct pk_record_name *name,
		     struct pk_err *err)
{
	char path[PK_PATH_ROOM + FILE_ROOM];

	for (int closed = name->closed; closed < 3; closed++) {
		if (closed < 2)
			make_path(paths, name, closed, path);
		else
			make_old_path(paths, name, path);
		if (unlink(path) < 0 && errno != ENOENT)
			return fail_state(err, pk_fail(err, errno, "delete"), path);
	}
	return 0;
}
