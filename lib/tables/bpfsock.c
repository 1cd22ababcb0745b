/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the cgroup's programs, links them, pins the links. */
#include "bpfsock.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bpf_private.h"
#include "sock.skel.h"

#define ROOM (PK_PATH_ROOM + 64)
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static const struct hook {
	const char *name, *prog;
	enum bpf_attach_type type;
} hooks[] = {
	{ "connect4", "pk_connect4", BPF_CGROUP_INET4_CONNECT },
	{ "connect6", "pk_connect6", BPF_CGROUP_INET6_CONNECT },
	{ "sendmsg4", "pk_sendmsg4", BPF_CGROUP_UDP4_SENDMSG },
	{ "sendmsg6", "pk_sendmsg6", BPF_CGROUP_UDP6_SENDMSG },
	{ "recvmsg4", "pk_recvmsg4", BPF_CGROUP_UDP4_RECVMSG },
	{ "recvmsg6", "pk_recvmsg6", BPF_CGROUP_UDP6_RECVMSG },
	{ "getpeername4", "pk_getpeername4", BPF_CGROUP_INET4_GETPEERNAME },
	{ "getpeername6", "pk_getpeername6", BPF_CGROUP_INET6_GETPEERNAME },
};

static inline void close_skel(struct pk_sock **skel)
{
	pk_sock__destroy(*skel);
}

static int fail(struct pk_err *err, int num, const char *what, const char *which)
{
	return pk_code(err, pk_fail(err, num, "%s %s", what, which), PK_CODE_KERNEL);
}

static void dir_of(const struct pk_paths *paths, char dir[ROOM])
{
	snprintf(dir, ROOM, "%s/sock", paths->pins);
}

static void pin_of(const struct pk_paths *paths, const char *name, char path[ROOM])
{
	snprintf(path, ROOM, "%s/sock/%s", paths->pins, name);
}

/* Finds the number by which programs know this network namespace: its cookie. */
static int netns_cookie(uint64_t *cookie, struct pk_err *err)
{
	own_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &size) < 0)
		return fail(err, errno, "read", "the network namespace's cookie");
	return 0;
}

/* Keeps what sockets asked for over a change of programs, where it still has the same form. */
static int keep_peers(struct pk_sock *skel, const struct pk_paths *paths)
{
	struct bpf_map *map = skel->maps.sock_peers;
	struct pk_map_info info;
	char path[ROOM];
	own_fd int fd = -1;

	pin_of(paths, "peers", path);
	fd = bpf_obj_get(path);
	if (fd < 0 || pk_map_info(fd, &info) < 0)
		return 0;
	if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
	    info.value_size != bpf_map__value_size(map)) {
		unlink(path);
		return 0;
	}
	return bpf_map__reuse_fd(map, fd);
}

static int use_tables(struct pk_sock *skel, const struct pk_bpf *bpf, struct pk_err *err)
{
	for (int i = 0; i < PK_MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, pk_map_name(i));

		if (map && bpf_map__reuse_fd(map, bpf->map[i]) < 0)
			return fail(err, errno, "use table", pk_map_name(i));
	}
	return keep_peers(skel, bpf->paths) < 0 ? fail(err, errno, "use", "pins/sock/peers") : 0;
}

static int load(const struct pk_bpf *bpf, struct pk_sock **out, struct pk_err *err)
{
	PK_OWN(close_skel) struct pk_sock *skel = pk_sock__open();
	uint64_t cookie;
	int r;

	if (!skel)
		return fail(err, errno, "open", "the cgroup's programs");
	r = netns_cookie(&cookie, err);
	if (r < 0)
		return r;
	skel->rodata->pk_netns = cookie;
	r = use_tables(skel, bpf, err);
	if (r < 0)
		return r;
	r = pk_sock__load(skel);
	if (r < 0)
		return fail(err, -r, "load", "the cgroup's programs");
	*out = PK_MOVE(skel, NULL);
	return 0;
}

/* Returns the pinned link of that name, if it stands at the cgroup; else its pin is gone. */
static int pinned_link(const char *path, uint64_t cgroup)
{
	struct bpf_link_info info = { 0 };
	uint32_t size = sizeof(info);
	int fd = bpf_obj_get(path);

	if (fd < 0)
		return -1;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.cgroup.cgroup_id == cgroup)
		return fd;
	close(fd);
	unlink(path);
	return -1;
}

static int attach(const struct pk_paths *paths, const struct hook *hook, int prog, int cgroup,
		  struct pk_err *err)
{
	own_fd int link = -1;
	char path[ROOM];
	struct stat st;

	if (fstat(cgroup, &st) < 0)
		return fail(err, errno, "stat", "the cgroup");
	pin_of(paths, hook->name, path);
	link = pinned_link(path, st.st_ino);
	if (link >= 0)
		return bpf_link_update(link, prog, NULL) < 0
			       ? fail(err, errno, "change the cgroup's program", hook->name)
			       : 0;
	link = bpf_link_create(prog, cgroup, hook->type, NULL);
	if (link < 0)
		return fail(err, errno, "attach to the cgroup", hook->name);
	return bpf_obj_pin(link, path) < 0 ? fail(err, errno, "pin", path) : 0;
}

static int open_cgroup(const char *path, struct pk_err *err)
{
	struct statfs fs;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		return fd;
	if (fd >= 0)
		close(fd);
	r = pk_code(err, pk_fail(err, 0, "\"cgroup\": %s is no cgroup of version 2", path),
		    PK_CODE_CONFIG);
	return pk_fix(err, r, "name the root of the unified hierarchy, /sys/fs/cgroup, or null");
}

int pk_sock_attach(const struct pk_bpf *bpf, const char *cgroup, struct pk_err *err)
{
	PK_OWN(close_skel) struct pk_sock *skel = NULL;
	own_fd int at = open_cgroup(cgroup, err);
	char dir[ROOM], path[ROOM];
	int r = at < 0 ? at : load(bpf, &skel, err);

	if (r < 0)
		return r;
	dir_of(bpf->paths, dir);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return fail(err, errno, "make directory", dir);
	pin_of(bpf->paths, "peers", path);
	if (access(path, F_OK) < 0 && bpf_obj_pin(bpf_map__fd(skel->maps.sock_peers), path) < 0)
		return fail(err, errno, "pin", path);
	for (size_t i = 0; i < PK_ARRAY_LEN(hooks) && r == 0; i++) {
		struct bpf_program *prog =
			bpf_object__find_program_by_name(skel->obj, hooks[i].prog);

		r = attach(bpf->paths, &hooks[i], bpf_program__fd(prog), at, err);
	}
	return r;
}

bool pk_sock_stands(const struct pk_paths *paths)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(hooks); i++) {
		char path[ROOM];

		pin_of(paths, hooks[i].name, path);
		if (access(path, F_OK) < 0)
			return false;
	}
	return true;
}

int pk_sock_detach(const struct pk_paths *paths, struct pk_err *err)
{
	char dir[ROOM];

	dir_of(paths, dir);
	return pk_pin_remove(dir, err);
}
