/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "ctl.h"
#include "fs.h"
#include "own.h"

#define API_SECONDS 10
#define LONGEST	    1e9

int cli_fail(const struct cli *cli, const struct pk_err *err, int code)
{
	const struct cli_command *c = cli->command;
	own_str text = { 0 };

	pk_str_addf(&text, "picket%s%s%s%s: ", c ? " " : "", c ? c->noun : "",
		    c && c->verb ? " " : "", c && c->verb ? c->verb : "");
	pk_str_add_escaped(&text, err->text);
	pk_str_add(&text, "\n");
	if (err->fix[0]) {
		pk_str_add(&text, "fix: ");
		pk_str_add_escaped(&text, err->fix);
		pk_str_add(&text, "\n");
	}
	if (text.text)
		fputs(text.text, stderr);
	return code;
}

bool cli_no_daemon(int ret)
{
	return ret == -ENOENT || ret == -ECONNREFUSED;
}

static int ask(const struct cli *cli, const char *path, const char *body, double seconds,
	       struct pk_json_doc **doc, struct pk_err *err)
{
	struct pk_ctl_request request = {
		.socket = cli->socket,
		.method = body ? "POST" : "GET",
		.path = path,
		.body = body,
		.deadline_ns =
			pk_now_ns() + (uint64_t)((seconds < LONGEST ? seconds : LONGEST) * 1e9),
	};
	PK_OWN(pk_ctl_answer_done) struct pk_ctl_answer answer = { 0 };
	int r = pk_ctl_ok(&request, &answer, err);

	if (r < 0) {
		if (cli_no_daemon(r))
			pk_wrap(err, r, "picketd doesn't answer");
		else if (r == -EACCES || r == -EPERM)
			pk_fix(err, r, "run it as root, or as a member of the group picket");
		return r;
	}
	return pk_json_parse("picketd", answer.body, answer.len, PK_JSON_RELAXED, doc, err);
}

int cli_api(const struct cli *cli, const char *path, struct pk_json_doc **doc, struct pk_err *err)
{
	return ask(cli, path, NULL, API_SECONDS, doc, err);
}

int cli_api_post(const struct cli *cli, const char *path, const char *body,
		 struct pk_json_doc **doc, struct pk_err *err)
{
	return ask(cli, path, body, API_SECONDS, doc, err);
}

int cli_api_post_long(const struct cli *cli, const char *path, const char *body, double seconds,
		      struct pk_json_doc **doc, struct pk_err *err)
{
	return ask(cli, path, body, seconds, doc, err);
}

bool cli_daemon_runs(const struct cli *cli)
{
	own_str path = { 0 };
	own_fd int fd = -1;

	pk_str_addf(&path, "%s/" PK_LOCK_DAEMON, cli->paths.run);
	fd = open(path.text, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

int cli_config(const struct cli *cli, struct pk_json_doc **doc, struct pk_err *err)
{
	const char *path = cli->paths.config;
	own_mem char *text = NULL;
	size_t len;

	*doc = NULL;
	if (access(path, F_OK) < 0)
		return 0;
	if (pk_fs_read_own(path, PK_JSON_MAX, &text, &len, err) < 0 ||
	    pk_json_parse(path, text, len, PK_JSON_COMMENTS, doc, err) < 0)
		return -EINVAL;
	return 0;
}

int cli_config_string(const struct cli *cli, const char *section, const char *key, char **out,
		      struct pk_err *err)
{
	const char *said;
	const struct pk_json *in;
	own_json *doc = NULL;
	int r = cli_config(cli, &doc, err);

	*out = NULL;
	if (r < 0 || !doc)
		return r;
	in = section ? pk_json_get(pk_json_root(doc), section) : pk_json_root(doc);
	said = pk_json_string(pk_json_get(in, key));
	if (said && !(*out = strdup(said)))
		abort();
	return 0;
}
