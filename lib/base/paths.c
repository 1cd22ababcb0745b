/* SPDX-License-Identifier: Apache-2.0 */
#include "paths.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "own.h"

static int check_root(const char *root, struct pk_err *err)
{
	if (*root && *root != '/')
		return pk_fix(err, pk_fail(err, 0, "root \"%s\" is not absolute", root),
			      "give it from /");
	if (strlen(root) > 255)
		return pk_fail(err, ENAMETOOLONG, "root");
	for (const char *p = strstr(root, ".."); p; p = strstr(p + 1, ".."))
		if (p[-1] == '/' && (p[2] == '/' || !p[2]))
			return pk_fail(err, 0, "root \"%s\" has a \"..\" in it", root);
	return 0;
}

int pk_paths_init(struct pk_paths *paths, const char *root, struct pk_err *err)
{
	const struct {
		char *to;
		const char *path;
	} part[] = {
		{ paths->endpoints, "/var/lib/picket/endpoints" },
		{ paths->leases, "/var/lib/picket/leases" },
		{ paths->policies, "/var/lib/picket/policies" },
		{ paths->node_json, "/var/lib/picket/node.json" },
		{ paths->run, "/run/picket" },
		{ paths->lock, "/run/picket/lock" },
		{ paths->vm, "/run/picket/vm" },
		{ paths->pools, "/run/picket/pools" },
		{ paths->socket, "/run/picket/picketd.sock" },
		{ paths->tap_socket, "/run/picket/tap.sock" },
		{ paths->bpffs, "/sys/fs/bpf" },
		{ paths->pins, "/sys/fs/bpf/picket" },
		{ paths->maps, "/sys/fs/bpf/picket/maps" },
		{ paths->config, "/etc/picket/picketd.json" },
		{ paths->policies_d, "/etc/picket/policies.d" },
	};
	size_t n;
	int r;

	r = check_root(root, err);
	if (r < 0)
		return r;
	strcpy(paths->root, root);
	n = strlen(root);
	while (n > 0 && paths->root[n - 1] == '/')
		paths->root[--n] = '\0';
	for (size_t i = 0; i < PK_ARRAY_LEN(part); i++)
		snprintf(part[i].to, PK_PATH_ROOM, "%s%s", paths->root, part[i].path);
	return 0;
}
