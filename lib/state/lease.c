/* SPDX-License-Identifier: Apache-2.0 */
#include "lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fault.h"
#include "fs.h"
#include "own.h"
#include "picket/limits.h"
#include "str.h"

#define NAME_ROOM  160
#define OWNER_ROOM (PK_CNI_ID_MAX + PK_IFNAME_MAX + 3)
#define LEASES_MAX 65536

static int compare(const void *a, const void *b)
{
	const struct pk_lease *x = a, *y = b;
	int c = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return c ? c : (int)x->state - (int)y->state;
}

void pk_leases_sort(struct pk_lease *leases, size_t n)
{
	if (n)
		qsort(leases, n, sizeof(*leases), compare);
}

enum name { NAME_FOREIGN, NAME_LEASE, NAME_RESTED };

static unsigned int dots(const char *name)
{
	unsigned int n = 0;

	for (; *name; name++)
		n += *name == '.';
	return n;
}

/* "<address>.<seconds>.<32 hex digits>": where the first release let an address rest. */
static bool is_rested(char *text)
{
	union pk_addr addr;
	uint64_t seconds;
	char *epoch = strrchr(text, '.'), *time;

	*epoch++ = '\0';
	time = strrchr(text, '.');
	if (!time || strlen(epoch) != 32)
		return false;
	*time++ = '\0';
	return pk_addr_parse(text, &addr) == 0 && pk_parse_u64(time, UINT32_MAX, &seconds) == 0;
}

static enum name parse_name(const char *name, union pk_addr *addr)
{
	char text[NAME_ROOM];
	unsigned int n = dots(name);

	if (*name == '.' || strlen(name) >= sizeof(text))
		return NAME_FOREIGN;
	if (n == 0 || n == 3)
		return pk_addr_parse(name, addr) == 0 ? NAME_LEASE : NAME_FOREIGN;
	strcpy(text, name);
	return is_rested(text) ? NAME_RESTED : NAME_FOREIGN;
}

static int open_dir(const struct pk_lease_dir *dir, DIR **out, struct pk_err *err)
{
	*out = opendir(dir->path);
	if (*out)
		return 0;
	return pk_code(err, pk_fail(err, errno, "open %s", dir->path), PK_CODE_STATE);
}

static void append(struct pk_str *list, const union pk_addr *addr, enum pk_lease_state state,
		   uint64_t freed_s)
{
	const struct pk_lease lease = { .addr = *addr, .state = state, .freed_s = freed_s };

	pk_str_addn(list, &lease, sizeof(lease));
}

static void add_resting(void *arg, const union pk_addr *addr, uint32_t freed_s)
{
	append(arg, addr, PK_LEASE_RESTING, freed_s);
}

static int read_held(const struct pk_lease_dir *dir, struct pk_str *list, struct pk_err *err)
{
	own_dir DIR *d = NULL;
	struct dirent *e;
	int r = open_dir(dir, &d, err);

	while (r == 0 && (e = readdir(d))) {
		union pk_addr addr;
		enum name name = parse_name(e->d_name, &addr);

		if (name == NAME_RESTED)
			unlinkat(dirfd(d), e->d_name, 0);
		else if (name == NAME_LEASE)
			append(list, &addr, PK_LEASE_HELD, 0);
	}
	return r;
}

int pk_leases_read(const struct pk_lease_dir *dir, struct pk_lease **out, size_t *n,
		   struct pk_err *err)
{
	own_str list = { .cap = LEASES_MAX * sizeof(struct pk_lease) };
	int r = read_held(dir, &list, err);

	if (r == 0)
		pk_lease_marks_resting(dir, add_resting, &list);
	if (r == 0 && list.failed)
		r = pk_fail(err, E2BIG, "more than %d leases", LEASES_MAX);
	if (r < 0)
		return pk_code(err, r, PK_CODE_STATE);
	*n = list.len / sizeof(struct pk_lease);
	*out = (struct pk_lease *)pk_str_take(&list);
	if (!*out)
		return pk_fail(err, ENOMEM, "leases");
	pk_leases_sort(*out, *n);
	return 0;
}

static void lease_path(const struct pk_lease_dir *dir, const union pk_addr *addr, char *path,
		       size_t room)
{
	char text[PK_ADDR_TEXT];

	snprintf(path, room, "%s/%s", dir->path, pk_addr_format(addr, text));
}

static int fail_write(struct pk_err *err, int num, const char *what, const char *path)
{
	return pk_fs_fix(err, pk_code(err, pk_fail(err, num, "%s %s", what, path), PK_CODE_STATE));
}

/* Writes a file that says whose the lease is, under a name that only a killed process leaves. */
static int write_owner(const char *path, const char *owner, struct pk_err *err)
{
	own_fd int fd = open(
		path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	ssize_t len = (ssize_t)strlen(owner), n;

	if (fd < 0)
		return fail_write(err, errno, "create", path);
	n = write(fd, owner, (size_t)len);
	if (n == len)
		return 0;
	n = n < 0 ? errno : ENOSPC;
	unlink(path);
	return fail_write(err, (int)n, "write", path);
}

int pk_lease_take(const struct pk_lease_dir *dir, const union pk_addr *addr, const char *owner,
		  struct pk_err *err)
{
	char path[512], temp[600], text[PK_ADDR_TEXT];
	int r;

	lease_path(dir, addr, path, sizeof(path));
	snprintf(temp, sizeof(temp), "%s/.take.%d.%s", dir->path, (int)getpid(),
		 pk_addr_format(addr, text));
	r = write_owner(temp, owner, err);
	pk_fault("lease-written");
	if (r < 0)
		return r;
	r = link(temp, path) < 0 ? -errno : 0;
	unlink(temp);
	if (r < 0)
		return fail_write(err, -r, "lease", path);
	return 0;
}

int pk_lease_take_beside(const struct pk_lease_dir *dir, const union pk_addr *addr,
			 const union pk_addr *held, struct pk_err *err)
{
	char path[512], there[512];

	lease_path(dir, addr, path, sizeof(path));
	lease_path(dir, held, there, sizeof(there));
	if (link(there, path) == 0)
		return 0;
	return fail_write(err, errno, "lease", path);
}

static int read_owner(const char *path, char owner[OWNER_ROOM])
{
	own_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, owner, OWNER_ROOM - 1);
	if (n < 0)
		return -errno;
	owner[n] = '\0';
	return 0;
}

int pk_lease_is(const struct pk_lease_dir *dir, const union pk_addr *addr, const char *owner,
		struct pk_err *err)
{
	char path[512], text[OWNER_ROOM];
	int r;

	lease_path(dir, addr, path, sizeof(path));
	r = read_owner(path, text);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return pk_code(err, pk_fail(err, -r, "read %s", path), PK_CODE_STATE);
	return !strcmp(text, owner);
}

int pk_lease_free(const struct pk_lease_dir *dir, const union pk_addr *addr, const char *owner,
		  struct pk_err *err)
{
	char path[512];
	int r = pk_lease_is(dir, addr, owner, err);

	if (r <= 0)
		return r;
	lease_path(dir, addr, path, sizeof(path));
	if (unlink(path) < 0 && errno != ENOENT)
		return pk_code(err, pk_fail(err, errno, "free lease %s", path), PK_CODE_STATE);
	pk_fault("lease-freed");
	pk_lease_marks_set(dir, addr, pk_lease_mark_now(dir->now_s));
	return 0;
}

static bool is_in(const char *owner, const char *const *keep)
{
	for (; *keep; keep++)
		if (!strcmp(owner, *keep))
			return true;
	return false;
}

int pk_leases_prune(const struct pk_lease_dir *dir, const char *const *keep, struct pk_err *err)
{
	own_dir DIR *d = NULL;
	struct dirent *e;
	int r = open_dir(dir, &d, err);

	if (r < 0)
		return r;
	while ((e = readdir(d))) {
		char path[600], owner[OWNER_ROOM];
		union pk_addr addr;

		if (parse_name(e->d_name, &addr) != NAME_LEASE)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir->path, e->d_name);
		if (read_owner(path, owner) == 0 && !is_in(owner, keep))
			unlink(path);
	}
	return 0;
}
