/* SPDX-License-Identifier: GPL-2.0-only */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "fs.h"
#include "own.h"

#define WORLD_MAX (64u << 20)

int cli_world_text(void *arg, char **text, size_t *len, struct pk_err *err)
{
	const struct cli *cli = arg;
	own_json *doc = NULL;
	struct pk_str s = { 0 };
	struct pk_jw w = { .out = &s };
	int r = cli_api(cli, "/v1/world", &doc, err);

	if (r < 0)
		return r;
	pk_jw_value(&w, NULL, pk_json_root(doc));
	*len = s.len;
	*text = pk_str_take(&s);
	return *text ? 0 : pk_fail(err, ENOMEM, "the node's world");
}

void cli_notes(const struct pk_str *said)
{
	if (said->len)
		fputs(said->text, stderr);
}

int cli_world(const struct cli *cli, struct pk_case **out, struct pk_err *err)
{
	const char *path = cli_get(cli, "world");
	own_mem char *text = NULL;
	own_str said = { 0 };
	size_t len = 0;
	int r;

	if (path)
		r = pk_fs_read(path, WORLD_MAX, &text, &len, err);
	else
		r = cli_world_text((void *)cli, &text, &len, err);
	if (r == 0)
		r = path ? pk_case_read(path, text, len, out, &said, err)
			 : pk_case_live(text, len, out, &said, err);
	cli_notes(&said);
	if (r == 0 && !(*out)->has_endpoints) {
		pk_fail(err, 0, "%s has no endpoints", path ? path : "the node");
		r = pk_fix(err, -EINVAL, "give a file with \"endpoints\" by -world");
		pk_case_free(PK_MOVE(*out, NULL));
	}
	return r;
}
