/* SPDX-License-Identifier: Apache-2.0 */
#include "unix_listen.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "own.h"

#define BACKLOG 64

int pk_unix_listen(const char *path, int type, mode_t mode, struct pk_err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	own_fd int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mode_t old;
	int r;

	if (fd < 0)
		return pk_fail(err, errno, "socket");
	if (strlen(path) >= sizeof(sun.sun_path))
		return pk_fail(err, ENAMETOOLONG, "socket %s", path);
	strcpy(sun.sun_path, path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return pk_fix(
			err, pk_fail(err, EADDRINUSE, "socket %s", path),
			"another picketd answers there: stop it, or give this one its own -root");
	if (unlink(path) < 0 && errno != ENOENT)
		return pk_fail(err, errno, "remove stale socket %s", path);
	old = umask(0777 & ~mode);
	r = bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ? -errno : 0;
	umask(old);
	if (r < 0 || listen(fd, BACKLOG) < 0)
		return pk_fail(err, r < 0 ? -r : errno, "bind socket %s", path);
	return PK_MOVE(fd, -1);
}
