/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fault.h"
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
	int r = 0;

	for (size_t i = 0; i < PK_ARRAY_LEN(dirs) && r == 0; i++)
		r = pk_fs_mkdirs(dirs[i].path, dirs[i].mode, err);
	if (r == 0)
		r = pk_records_make(paths, err);
	if (r < 0)
		pk_fix(err, r, "make it writable for root, or move it with \"root\"");
	return pk_code(err, r, PK_CODE_STATE);
}

static void driver_path(const struct pk_paths *paths, const char *container_id, char *path,
			size_t room)
{
	snprintf(path, room, "%s/%s.json", paths->vm, container_id);
}

int cni_driver_file_write(const struct pk_paths *paths, const struct pk_record *rec,
			  const struct cni_attachment *a, struct pk_err *err)
{
	char path[PK_PATH_ROOM + PK_CNI_ID_MAX + 8];
	gid_t group = rec->tap_group == UINT32_MAX ? 0 : rec->tap_group;
	own_str text = { 0 };
	int r;

	cni_driver_file(a, &text);
	driver_path(paths, rec->container_id, path, sizeof(path));
	r = pk_fs_write_quick(path, text.text, text.len, 0640, err);
	pk_fault("driver-file-written");
	if (r == 0 && chown(path, 0, group) < 0)
		r = pk_fail(err, errno, "give %s to group %u", path, group);
	return pk_code(err, r, PK_CODE_STATE);
}

/* Refuses symbolic links, which somebody may turn, but for the kernel's own /proc/PID/ns/net. */
static bool is_foreign_link(const char *path)
{
	own_fd int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISLNK(st.st_mode))
		return false;
	return fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC;
}

int cni_netns_open(const char *path, struct pk_netns *ns, struct pk_err *err)
{
	int r;

	if (is_foreign_link(path))
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
