/* SPDX-License-Identifier: Apache-2.0 */
/* The pins' directories: builds, maps, `current`. bpffs refuses names with a dot. */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bpf_private.h"
#include "fault.h"
#include "own.h"
#include "bpfsock.h"

#define ROOM (PK_PATH_ROOM + 64)

static int fail_pin(struct pk_err *err, int num, const char *what, const char *path)
{
	return pk_code(err, pk_fail(err, num, "%s %s", what, path), PK_CODE_KERNEL);
}

int pk_bpffs_check(const struct pk_paths *paths, struct pk_err *err)
{
	struct statfs fs;
	int r;

	if (statfs(paths->bpffs, &fs) == 0 && fs.f_type == BPF_FS_MAGIC)
		return 0;
	r = pk_code(err, pk_fail(err, 0, "%s is no BPF file system", paths->bpffs), PK_CODE_KERNEL);
	return pk_fix(err, r, "mount -t bpf bpf %s", paths->bpffs);
}

int pk_pin_current(const struct pk_paths *paths, char build[24])
{
	char path[ROOM];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/current", paths->pins);
	n = readlink(path, build, 23);
	if (n < 0)
		return -errno;
	build[n] = '\0';
	return build[0] == 'g' && !strchr(build, '/') ? 0 : -ENOENT;
}

int pk_pin_make_current(const struct pk_paths *paths, const char *build, struct pk_err *err)
{
	char fresh[ROOM], current[ROOM];

	snprintf(fresh, sizeof(fresh), "%s/currentnew", paths->pins);
	snprintf(current, sizeof(current), "%s/current", paths->pins);
	if (unlink(fresh) < 0 && errno != ENOENT)
		return fail_pin(err, errno, "remove", fresh);
	if (symlink(build, fresh) < 0)
		return fail_pin(err, errno, "link", fresh);
	pk_fault("current-linked");
	if (rename(fresh, current) < 0)
		return fail_pin(err, errno, "rename to", current);
	return 0;
}

static int make_dir(const char *path, struct pk_err *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return fail_pin(err, errno, "make directory", path);
	return 0;
}

int pk_pin_dirs(const struct pk_paths *paths, struct pk_err *err)
{
	int r = make_dir(paths->pins, err);

	return r < 0 ? r : make_dir(paths->maps, err);
}

int pk_pin_object(int fd, const char *dir, const char *name, struct pk_err *err)
{
	char path[ROOM];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (bpf_obj_pin(fd, path) < 0)
		return fail_pin(err, errno, "pin", path);
	return 0;
}

/* Empties a directory of pins and links, which has no deeper one. */
static int empty_dir(const char *dir, struct pk_err *err)
{
	own_dir DIR *d = opendir(dir);
	const struct dirent *e;

	if (!d)
		return errno == ENOENT ? 0 : fail_pin(err, errno, "open", dir);
	while ((e = readdir(d))) {
		char path[ROOM + 256];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (unlink(path) < 0 && errno != ENOENT)
			return fail_pin(err, errno, "remove", path);
	}
	return 0;
}

int pk_pin_remove(const char *dir, struct pk_err *err)
{
	int r = empty_dir(dir, err);

	if (r == 0 && rmdir(dir) < 0 && errno != ENOENT)
		r = fail_pin(err, errno, "remove", dir);
	return r;
}

int pk_pin_remove_builds(const struct pk_paths *paths, const char *keep, struct pk_err *err)
{
	own_dir DIR *d = opendir(paths->pins);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : fail_pin(err, errno, "open", paths->pins);
	while (r == 0 && (e = readdir(d))) {
		char path[ROOM + 256];

		if (e->d_name[0] != 'g' || !strcmp(e->d_name, keep))
			continue;
		snprintf(path, sizeof(path), "%s/%s", paths->pins, e->d_name);
		r = pk_pin_remove(path, err);
	}
	return r;
}

bool pk_pin_other_build(const struct pk_paths *paths, const char *keep, char build[24])
{
	own_dir DIR *d = opendir(paths->pins);
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] != 'g' || !strcmp(e->d_name, keep) || strlen(e->d_name) >= 24)
			continue;
		strcpy(build, e->d_name);
		return true;
	}
	return false;
}

int pk_bpf_unpin_all(const struct pk_paths *paths, struct pk_err *err)
{
	char current[ROOM];
	struct statfs fs;
	int r;

	if (statfs(paths->pins, &fs) < 0 || fs.f_type != BPF_FS_MAGIC)
		return 0;
	snprintf(current, sizeof(current), "%s/current", paths->pins);
	if (unlink(current) < 0 && errno != ENOENT)
		return fail_pin(err, errno, "remove", current);
	r = pk_sock_detach(paths, err);
	if (r == 0)
		r = pk_pin_remove_builds(paths, "", err);
	if (r == 0)
		r = pk_pin_remove(paths->maps, err);
	return r == 0 ? pk_pin_remove(paths->pins, err) : r;
}
