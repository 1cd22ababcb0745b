/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remembers which configuration files there were. A file that is gone (a package tool moves it for
 * a moment, a file system isn't mounted) must not be taken for the word that the defaults are
 * meant.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "fs.h"
#include "own.h"

#define FILES_MAX (1u << 20)

static bool has_line(const char *lines, const char *line, size_t n)
{
	for (const char *p = lines; p && *p; p += strcspn(p, "\n") + 1)
		if (strcspn(p, "\n") == n && strncmp(p, line, n) == 0)
			return true;
	return false;
}

/* Returns whether this file would be read, if it were there. */
static bool is_looked_for(const struct pk_config *c, const char *line, size_t n)
{
	size_t dir = n;

	while (dir && line[dir - 1] != '/')
		dir--;
	if (!c->files)
		return true;
	return c->from_directory && strncmp(c->files, line, dir) == 0;
}

int pk_config_check_gone(const struct pk_config *c, const char *before, struct pk_err *err)
{
	for (const char *p = before; p && *p; p += strcspn(p, "\n") + 1) {
		size_t n = strcspn(p, "\n");

		if (has_line(c->files, p, n) || !is_looked_for(c, p, n))
			continue;
		pk_fail(err, ENOENT, "%.*s was there before and is gone", (int)n, p);
		return pk_fix(err, -ENOENT,
			      "put it back; where it is meant to be gone, start picketd once with "
			      "-accept-missing-config, or leave {} in it");
	}
	return 0;
}

static void path_of(const char *root, char path[PK_PATH_ROOM])
{
	snprintf(path, PK_PATH_ROOM, "%.250s/var/lib/picket/config.files", root);
}

int pk_config_remember(const char *root, const char *files, struct pk_err *err)
{
	char path[PK_PATH_ROOM];
	own_mem char *before = NULL;
	size_t len;
	int r;

	path_of(root, path);
	if (pk_fs_read_own(path, FILES_MAX, &before, &len, NULL) == 0 && strcmp(before, files) == 0)
		return 0;
	*strrchr(path, '/') = '\0';
	r = pk_fs_mkdirs(path, 0700, err);
	path_of(root, path);
	return r < 0 ? r : pk_fs_write(path, files, strlen(files), 0644, err);
}

int pk_config_check_last(const struct pk_config *c, struct pk_err *err)
{
	own_mem char *before = NULL;
	char path[PK_PATH_ROOM];
	size_t len;
	int r;

	path_of(c->paths.root, path);
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = pk_fs_read_own(path, FILES_MAX, &before, &len, err);
	return r < 0 ? r : pk_config_check_gone(c, before, err);
}
