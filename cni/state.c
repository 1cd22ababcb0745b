/* SPDX-License-Identifier: GPL-2.0-only */
#include "state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"
#include "own.h"

int cni_state_make(const struct pk_paths *paths, struct pk_err *err)
{
	const struct {
		const char *path;
		mode_t mode;
	} dirs[] = {
		{ paths->endpoints, 0700 }, { paths->leases, 0700 }, { paths->run, 0755 },
		{ paths->lock, 0700 },	    { paths->vm, 0751 },
	};

	for (size_t i = 0; i < PK_ARRAY_LEN(dirs); i++) {
		int r;

		if (mkdir(dirs[i].path, dirs[i].mode) == 0 || errno == EEXIST)
			continue;
		r = pk_fs_mkdirs(dirs[i].path, dirs[i].mode, err);
		if (r < 0) {
			pk_fix(err, r, "make it writable for root, or move it with \"root\"");
			return pk_code(err, r, PK_CODE_STATE);
		}
	}
	return 0;
}

static void lock_path(const struct pk_paths *paths, const char *container_id, char *path,
		      size_t room)
{
	snprintf(path, room, "%s/%s", paths->lock, container_id);
}

int cni_lock(const struct pk_paths *paths, const char *container_id, uint64_t deadline_ns, int *fd,
	     struct pk_err *err)
{
	char path[PK_PATH_ROOM + PK_CNI_ID_MAX + 2];

	lock_path(paths, container_id, path, sizeof(path));
	for (;;) {
		own_fd int held = -1;
		struct stat ours, there;
		int r = pk_fs_lock(path, deadline_ns, &held, err);

		if (r == -ETIMEDOUT) {
			pk_fail(err, 0, "another verb for this container id holds its lock");
			pk_fix(err, 0, "wait for it, or end it: fuser %s", path);
			return pk_code(err, r, PK_CODE_DEADLINE);
		}
		if (r < 0)
			return pk_code(err, r, PK_CODE_STATE);
		/* The one before us may have removed the file: then this lock is nobody's. */
		if (fstat(held, &ours) == 0 && stat(path, &there) == 0 &&
		    ours.st_ino == there.st_ino && ours.st_dev == there.st_dev) {
			*fd = PK_MOVE(held, -1);
			return 0;
		}
	}
}

void cni_lock_remove(const struct pk_paths *paths, const char *container_id)
{
	char path[PK_PATH_ROOM + PK_CNI_ID_MAX + 2];

	lock_path(paths, container_id, path, sizeof(path));
	unlink(path);
}

struct pk_lease_dir cni_leases(const struct pk_paths *paths, const struct pk_bpf *bpf)
{
	struct pk_lease_dir dir = { .path = paths->leases };
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	dir.now_s = (uint64_t)ts.tv_sec;
	if (bpf)
		memcpy(dir.epoch, bpf->node.epoch, sizeof(dir.epoch));
	return dir;
}

static int take_again(const struct pk_lease_dir *dir, const union pk_addr *addr, const char *owner,
		      struct pk_err *err)
{
	int r = pk_addr_is_zero(addr) ? 0 : pk_lease_take(dir, addr, owner, err);

	return r == -EEXIST ? 0 : r;
}

/* One record's addresses; a record that can't be read keeps what leases it has. */
static int rebuild_one(const struct pk_paths *paths, const struct pk_lease_dir *dir,
		       const struct pk_record_name *name, const char *owner, struct pk_err *err)
{
	own_record rec = { 0 };
	int r;

	if (pk_record_read(paths, name, &rec, NULL) < 0)
		return 0;
	r = take_again(dir, &rec.ipv4, owner, err);
	return r == 0 ? take_again(dir, &rec.ipv6, owner, err) : r;
}

int cni_leases_rebuild(const struct pk_paths *paths, const struct pk_bpf *bpf, struct pk_err *err)
{
	const struct pk_lease_dir dir = cni_leases(paths, bpf);
	own_mem struct pk_record_name *list = NULL;
	own_mem const char **keep = NULL;
	own_mem char(*owner)[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2] = NULL;
	size_t n = 0;
	int r = pk_records_list(paths, &list, &n, err);

	if (r < 0)
		return pk_code(err, r, PK_CODE_STATE);
	owner = calloc(n + 1, sizeof(*owner));
	keep = calloc(n + 1, sizeof(*keep));
	if (!owner || !keep)
		return pk_fail(err, ENOMEM, "leases");
	for (size_t i = 0; i < n; i++)
		keep[i] = pk_record_owner(&list[i], owner[i]);
	r = pk_leases_prune(&dir, keep, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = rebuild_one(paths, &dir, &list[i], keep[i], err);
	return r;
}

int cni_leases_drop(const struct pk_lease_dir *dir, const char *owner, struct pk_err *err)
{
	own_mem struct pk_lease *list = NULL;
	size_t n = 0;
	int r = pk_leases_read(dir, &list, &n, err);

	for (size_t i = 0; i < n && r == 0; i++)
		if (list[i].state == PK_LEASE_HELD)
			r = pk_lease_free(dir, &list[i].addr, owner, err);
	return r;
}

void cni_driver_file_remove(const struct pk_paths *paths, const char *container_id)
{
	char path[PK_PATH_ROOM + PK_CNI_ID_MAX + 8];

	snprintf(path, sizeof(path), "%s/%s.json", paths->vm, container_id);
	unlink(path);
}

int cni_netns_open(const char *path, struct pk_netns *ns, struct pk_err *err)
{
	struct stat st;
	int r;

	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		r = pk_fail(err, 0, "CNI_NETNS=%s is a symbolic link", path);
	else
		r = pk_netns_open(path, ns, err);
	if (r == 0)
		return 0;
	if (strncmp(err->text, "CNI_NETNS", 9) != 0)
		pk_wrap(err, r, "CNI_NETNS");
	err->code = PK_CODE_ENV;
	return pk_fix(err, r, "pass the path of a network namespace made for this container");
}
