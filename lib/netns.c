/* SPDX-License-Identifier: Apache-2.0 */
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "own.h"

#define SELF_PATH "/proc/thread-self/ns/net"

/* 0 and its inode, or -ENOENT: fd is no network namespace. */
static int inspect(int fd, ino_t *inode)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0 || fs.f_type != NSFS_MAGIC)
		return -ENOENT;
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET || fstat(fd, &st) < 0)
		return -ENOENT;
	*inode = st.st_ino;
	return 0;
}

static int fail_netns(struct pk_err *err, int num, const char *path, const char *what)
{
	int r = pk_code(err, pk_fail(err, num, "netns %s%s", path, what), PK_CODE_NETNS);

	return pk_fix(err, r, "pass the path of a network namespace made for this container");
}

int pk_netns_self(struct pk_netns *ns, struct pk_err *err)
{
	own_fd int fd = open(SELF_PATH, O_RDONLY | O_CLOEXEC);
	ino_t inode;

	if (fd < 0)
		return fail_netns(err, errno, SELF_PATH, "");
	if (inspect(fd, &inode) < 0)
		return fail_netns(err, 0, SELF_PATH, " is no network namespace");
	ns->inode = inode;
	ns->fd = PK_MOVE(fd, -1);
	return 0;
}

int pk_netns_open(const char *path, struct pk_netns *ns, struct pk_err *err)
{
	own_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat own;
	ino_t inode;

	if (fd < 0)
		return fail_netns(err, errno, path, "");
	if (inspect(fd, &inode) < 0)
		return fail_netns(err, 0, path, " is no network namespace");
	if (stat(SELF_PATH, &own) < 0)
		return fail_netns(err, errno, SELF_PATH, "");
	if (own.st_ino == inode)
		return fail_netns(err, 0, path, " is the node's own");
	ns->inode = inode;
	ns->fd = PK_MOVE(fd, -1);
	return 0;
}

void pk_netns_close(struct pk_netns *ns)
{
	if (ns->fd >= 0)
		close(PK_MOVE(ns->fd, -1));
}

int pk_netns_inode(const char *path, ino_t *inode)
{
	own_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -ENOENT : inspect(fd, inode);
}

int pk_netns_enter_from(const struct pk_netns *ns, const struct pk_netns *from,
			struct pk_netns_visit *visit, struct pk_err *err)
{
	own_fd int home = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);

	if (home < 0)
		return fail_netns(err, errno, SELF_PATH, "");
	if (setns(ns->fd, CLONE_NEWNET) < 0)
		return pk_code(err, pk_fail(err, errno, "enter netns"), PK_CODE_NETNS);
	visit->home = PK_MOVE(home, -1);
	return 0;
}

int pk_netns_enter(const struct pk_netns *ns, struct pk_netns_visit *visit, struct pk_err *err)
{
	own_netns home = PK_NETNS_NONE;
	int r = pk_netns_self(&home, err);

	return r == 0 ? pk_netns_enter_from(ns, &home, visit, err) : r;
}

void pk_netns_leave(struct pk_netns_visit *visit)
{
	if (visit->home < 0)
		return;
	if (setns(visit->home, CLONE_NEWNET) < 0)
		abort();
	close(PK_MOVE(visit->home, -1));
}
