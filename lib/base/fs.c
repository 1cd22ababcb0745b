/* SPDX-License-Identifier: Apache-2.0 */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "own.h"
#include "str.h"

uint64_t pk_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t pk_boot_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec;
}

int pk_fs_read_fd(int fd, size_t cap, char **text, size_t *len, struct pk_err *err)
{
	PK_OWN(pk_str_done) struct pk_str s = { .cap = cap + 2 };
	char buf[16384];

	for (;;) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return pk_fail(err, errno, "read");
		if (n == 0)
			break;
		if (s.len + (size_t)n > cap)
			return pk_fail(err, EFBIG, "more than %zu bytes", cap);
		pk_str_addn(&s, buf, (size_t)n);
	}
	if (len)
		*len = s.len;
	*text = pk_str_take(&s);
	return *text ? 0 : pk_fail(err, ENOMEM, "read");
}

int pk_fs_read(const char *path, size_t cap, char **text, size_t *len, struct pk_err *err)
{
	own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return pk_fail(err, errno, "open %s", path);
	r = pk_fs_read_fd(fd, cap, text, len, err);
	return r < 0 ? pk_wrap(err, r, "%s", path) : 0;
}

int pk_fs_read_own(const char *path, size_t cap, char **text, size_t *len, struct pk_err *err)
{
	own_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return pk_fail(err, errno, "open %s", path);
	if (!S_ISREG(st.st_mode))
		return pk_fix(err, pk_fail(err, 0, "%s is no regular file", path),
			      "put a regular file there, or remove it");
	r = pk_fs_read_fd(fd, cap, text, len, err);
	return r < 0 ? pk_wrap(err, r, "%s", path) : 0;
}

bool pk_fs_is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) == 0 &&
	       memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) == 0;
}

int pk_fs_fix(struct pk_err *err, int r)
{
	if (r == -ENOSPC || r == -EDQUOT)
		return pk_fix(err, r, "make room on its file system (df, df -i)");
	if (r == -EROFS)
		return pk_fix(err, r, "mount its file system writable; dmesg may say why it isn't");
	if (r == -EIO)
		return pk_fix(err, r, "its disk fails: see dmesg");
	if (r == -EISDIR)
		return pk_fix(err, r, "move away the directory that lies where a file belongs");
	if (r == -ENOTDIR)
		return pk_fix(err, r, "move away the file that lies where a directory belongs");
	return r;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* dir gets the directory part of path, "." where there is none. */
static int split(const char *path, char dir[PATH_MAX], const char **name)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	*name = slash ? slash + 1 : path;
	if (!slash || n == 0) {
		strcpy(dir, slash ? "/" : ".");
		return 0;
	}
	memcpy(dir, path, n);
	dir[n] = '\0';
	return 0;
}

static int write_temp(int fd, const void *data, size_t len, mode_t mode, bool sync)
{
	int r = write_all(fd, data, len);

	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0))
		return -errno;
	return 0;
}

static int write_file(const char *path, const void *data, size_t len, mode_t mode, bool sync,
		      struct pk_err *err)
{
	char dir[PATH_MAX], temp[PATH_MAX];
	const char *name;
	own_fd int dirfd = -1;
	own_fd int fd = -1;
	int r = split(path, dir, &name);

	if (r < 0)
		return pk_fail(err, -r, "%s", path);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return pk_fail(err, errno, "open %s", dir);
	if ((size_t)snprintf(temp, sizeof(temp), ".%s.%d", name, (int)getpid()) >= sizeof(temp))
		return pk_fail(err, ENAMETOOLONG, "%s", path);
	fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return pk_fail(err, errno, "create %s/%s", dir, temp);
	r = write_temp(fd, data, len, mode, sync);
	if (r == 0 && renameat(dirfd, temp, dirfd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, temp, 0);
		return pk_fail(err, -r, "write %s", path);
	}
	if (sync && fsync(dirfd) < 0)
		return pk_fail(err, errno, "sync %s", dir);
	return 0;
}

int pk_fs_write(const char *path, const void *data, size_t len, mode_t mode, struct pk_err *err)
{
	return pk_fs_fix(err, write_file(path, data, len, mode, true, err));
}

int pk_fs_write_quick(const char *path, const void *data, size_t len, mode_t mode,
		      struct pk_err *err)
{
	return pk_fs_fix(err, write_file(path, data, len, mode, false, err));
}

int pk_fs_mkdirs(const char *path, mode_t mode, struct pk_err *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (len >= sizeof(part))
		return pk_fail(err, ENAMETOOLONG, "%s", path);
	if (mkdir(path, mode) == 0 || errno == EEXIST) /* nearly always */
		return 0;
	memcpy(part, path, len + 1);
	for (char *p = part + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return pk_fs_fix(err, pk_fail(err, errno, "make directory %s", part));
		*p = c;
		if (c == '\0')
			return 0;
	}
}

int pk_fs_lock(const char *path, uint64_t deadline_ns, int *out, struct pk_err *err)
{
	own_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return pk_fail(err, errno, "open lock %s", path);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		struct timespec pause = { .tv_nsec = 200000 };

		if (errno != EWOULDBLOCK && errno != EINTR)
			return pk_fail(err, errno, "lock %s", path);
		if (pk_now_ns() >= deadline_ns)
			return pk_code(err, pk_fail(err, ETIMEDOUT, "lock %s", path),
				       PK_CODE_DEADLINE);
		nanosleep(&pause, NULL);
	}
	*out = PK_MOVE(fd, -1);
	return 0;
}
