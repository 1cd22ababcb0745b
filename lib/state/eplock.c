/* SPDX-License-Identifier: Apache-2.0 */
#include "eplock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"
#include "own.h"
#include "str.h"

#define ROOM	 (PK_PATH_ROOM + 32)
#define PAUSE_NS 200000

static off_t byte_of(const char *container_id)
{
	uint64_t hash[2];

	pk_hash128(container_id, strlen(container_id), hash);
	return (off_t)(hash[0] >> 2); /* an offset is positive, and one byte more must fit */
}

/* The lock is one of an open file description: it is this descriptor's alone, and goes with it. */
static int wait_for_byte(int fd, off_t byte, uint64_t deadline_ns)
{
	struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
	};

	while (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return -errno;
		if (pk_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int open_file(const struct pk_paths *paths, const char *path, int *out, struct pk_err *err)
{
	own_fd int fd = -1;
	int r = pk_fs_mkdirs(paths->lock, 0700, err);

	if (r < 0)
		return pk_code(err, r, PK_CODE_STATE);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return pk_code(err, pk_fail(err, errno, "open lock %s", path), PK_CODE_STATE);
	*out = PK_MOVE(fd, -1);
	return 0;
}

int pk_endpoint_lock(const struct pk_paths *paths, const char *container_id, uint64_t deadline_ns,
		     int *out, struct pk_err *err)
{
	char path[ROOM];
	own_fd int fd = -1;
	int r;

	snprintf(path, sizeof(path), "%s/" PK_LOCK_ENDPOINTS, paths->lock);
	r = open_file(paths, path, &fd, err);
	if (r < 0)
		return r;
	r = wait_for_byte(fd, byte_of(container_id), deadline_ns);
	if (r == -ETIMEDOUT) {
		pk_fail(err, 0, "another verb for this container id holds its lock");
		pk_fix(err, 0, "wait for it, or end it: fuser %s", path);
		return pk_code(err, r, PK_CODE_DEADLINE);
	}
	if (r < 0)
		return pk_code(err, pk_fail(err, -r, "lock %s", path), PK_CODE_STATE);
	*out = PK_MOVE(fd, -1);
	return 0;
}
