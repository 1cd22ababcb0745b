/* SPDX-License-Identifier: Apache-2.0 */
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fault.h"
#include "fs.h"
#include "own.h"
#include "str.h"

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

bool pk_netns_is(const char *path, ino_t inode)
{
	struct stat at, self;

	return stat(path, &at) == 0 && at.st_ino == inode && stat(SELF_PATH, &self) == 0 &&
	       at.st_dev == self.st_dev;
}

/*
 * A name that is deleted later is to go in every mount namespace that has a copy of it: else one of
 * those holds the network namespace.
 */
static int share(const char *path, struct pk_err *err)
{
	const char *slash = strrchr(path, '/');
	own_str dir = { 0 };
	int r;

	pk_str_addn(&dir, path, slash ? (size_t)(slash - path) : 0);
	if (!dir.len)
		return pk_fail(err, EINVAL, "netns %s", path);
	r = pk_fs_mkdirs(dir.text, 0755, err);
	if (r < 0 || mount("none", dir.text, NULL, MS_SHARED | MS_REC, NULL) == 0)
		return r;
	if (errno == EINVAL && mount(dir.text, dir.text, NULL, MS_BIND | MS_REC, NULL) == 0 &&
	    mount("none", dir.text, NULL, MS_SHARED | MS_REC, NULL) == 0)
		return 0;
	return pk_fail(err, errno, "share mounts of %s", dir.text);
}

static int name_new(const char *path, struct pk_err *err)
{
	own_netns home = PK_NETNS_NONE;
	int r = pk_netns_self(&home, err);

	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNET) < 0)
		return pk_fail(err, errno, "make a network namespace");
	if (mount(SELF_PATH, path, NULL, MS_BIND, NULL) < 0)
		r = pk_fail(err, errno, "name the network namespace %s", path);
	if (setns(home.fd, CLONE_NEWNET) < 0)
		abort(); /* as pk_netns_leave */
	return r;
}

int pk_netns_make(const char *path, struct pk_err *err)
{
	own_fd int fd = -1;
	int r = share(path, err);

	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return pk_fail(err, errno, "make %s", path);
	pk_fault("netns-named");
	r = name_new(path, err);
	if (r < 0)
		unlink(path);
	pk_fault("netns-made");
	return r;
}

int pk_netns_drop(const char *path, struct pk_err *err)
{
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		return pk_fail(err, errno, "unmount %s", path);
	pk_fault("netns-unmounted");
	if (unlink(path) < 0 && errno != ENOENT)
		return pk_fail(err, errno, "delete %s", path);
	return 0;
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
