/* SPDX-License-Identifier: Apache-2.0 */
#include "flow_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "out.h"
#include "own.h"

#define FILES_MAX 1024 /* more than a picketd keeps */

struct files {
	FILE *list[FILES_MAX]; /* newest first */
	ino_t inodes[FILES_MAX];
	size_t n;
};

static void files_done(struct files *f)
{
	for (size_t i = 0; i < f->n; i++)
		fclose(f->list[i]);
}

int flow_files_path(const struct cli *cli, char path[PK_PATH_ROOM], struct pk_err *err)
{
	own_json *doc = NULL;
	own_mem char *said = NULL;
	const struct pk_json *config;

	if (cli_api(cli, "/v1/config", &doc, NULL) == 0) {
		config = pk_json_get(pk_json_root(doc), "config");
		snprintf(path, PK_PATH_ROOM, "%s",
			 cli_text(pk_json_get(config, "flows.file"), "value"));
		return 0;
	}
	if (cli_config_string(cli, "flows", "file", &said, err) < 0)
		return -EINVAL;
	if (said)
		snprintf(path, PK_PATH_ROOM, "%s", said);
	else
		snprintf(path, PK_PATH_ROOM, "%s/var/log/picket/flows.jsonl", cli->paths.root);
	return 0;
}

/*
 * Returns whether the file is met for the first time: one that was rotated since comes again under
 * its next name.
 */
static bool is_new(const struct files *f, ino_t inode)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->inodes[i] == inode)
			return false;
	return true;
}

/* Opens the file of that number; false: there is none. */
static bool open_one(struct files *f, const char *path, unsigned int number)
{
	own_str name = { 0 };
	own_file FILE *file = NULL;
	struct stat st;

	pk_str_add(&name, path);
	if (number)
		pk_str_addf(&name, ".%u", number);
	file = fopen(name.text, "re");
	if (!file || fstat(fileno(file), &st) < 0)
		return false;
	if (!is_new(f, st.st_ino))
		return true;
	f->inodes[f->n] = st.st_ino;
	f->list[f->n++] = PK_MOVE(file, NULL);
	return true;
}

static int read_one(FILE *file, flow_line_fn *fn, void *arg)
{
	own_mem char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = getline(&line, &room, file)) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (*line)
			r = fn(arg, line, strlen(line));
	}
	return r;
}

int flow_files_read(const char *path, flow_line_fn *fn, void *arg, struct pk_err *err)
{
	PK_OWN(files_done) struct files f = { .n = 0 };
	bool newest = open_one(&f, path, 0);
	int num = errno, r = 0;

	/* All are open before the first is read: what is rotated from now on changes nothing. */
	for (unsigned int i = 1; f.n < FILES_MAX && open_one(&f, path, i); i++)
		;
	if (!newest && !f.n)
		return pk_fail(err, num, "%s", path);
	for (size_t i = f.n; r == 0 && i-- > 0;)
		r = read_one(f.list[i], fn, arg);
	return r;
}
