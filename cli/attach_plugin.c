/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the plugin as libcni does: environment, standard input, one answer on standard output. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach.h"
#include "declared.h"
#include "fs.h"

#define ANSWER_MAX (1u << 20)

void attach_find_plugin(const char *root, char path[PK_PATH_ROOM])
{
	static const char *const dirs[] = { "/opt/cni/bin", "/usr/libexec/cni", "/usr/lib/cni" };

	for (size_t i = 0; i < PK_ARRAY_LEN(dirs); i++) {
		snprintf(path, PK_PATH_ROOM, "%s%s/picket", root, dirs[i]);
		if (access(path, X_OK) == 0)
			return;
	}
	*path = '\0';
}

int attach_plugin(const struct cli *cli, char path[PK_PATH_ROOM], struct pk_err *err)
{
	const char *given = cli_get(cli, "plugin");

	if (given)
		snprintf(path, PK_PATH_ROOM, "%s", given);
	else
		attach_find_plugin(cli->paths.root, path);
	if (*path && access(path, X_OK) == 0)
		return 0;
	pk_fail(err, 0, "no plugin %s", given ?: "\"picket\" where a CNI runtime looks");
	return pk_fix(err, -ENOENT, "install it in /opt/cni/bin, or say -plugin FILE");
}

static void set_environment(const struct attach *a, const char *verb)
{
	const char *address = cli_get(a->cli, "address");
	own_str args = { 0 };

	if (address && !strcmp(verb, "ADD"))
		pk_str_addf(&args, "picket.ip=%s", address);
	setenv("CNI_COMMAND", verb, 1);
	setenv("CNI_CONTAINERID", a->name, 1);
	setenv("CNI_NETNS", a->netns, 1);
	setenv("CNI_IFNAME", ATTACH_IFNAME, 1);
	setenv("CNI_ARGS", args.len ? args.text : "", 1);
	setenv("CNI_PATH", "/opt/cni/bin", 1);
}

static void become(const struct attach *a, const char *verb, int in, int out)
{
	char *const argv[] = { (char *)a->plugin, (char *)CNI_DECLARED,
			       a->declared ? a->declared->text : NULL, NULL };
	char *const none[] = { (char *)a->plugin, NULL };

	set_environment(a, verb);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
		execv(a->plugin, a->declared ? argv : none);
	_exit(127);
}

static void send(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return; /* the plugin ended without having read; its answer says why */
		text += n;
		left -= (size_t)n;
	}
}

/* Takes the error object; a fix stands at the end of its details. */
static int read_error(const char *verb, const char *text, size_t len, struct pk_err *err)
{
	own_json *doc = NULL;
	const char *details, *fix;
	int rest;

	if (pk_json_parse("the plugin's answer", text, len, PK_JSON_RELAXED, &doc, NULL) < 0)
		return pk_fail(err, 0, "the plugin's %s failed and didn't say why", verb);
	details = pk_json_string(pk_json_get(pk_json_root(doc), "details")) ?: "";
	fix = strstr(details, "fix: ");
	rest = fix ? (int)(fix - details) : (int)strlen(details);
	pk_fail(err, 0, "%s%s%.*s", pk_json_string(pk_json_get(pk_json_root(doc), "msg")) ?: verb,
		rest ? " " : "", rest, details);
	if (fix)
		pk_fix(err, 0, "%s", fix + strlen("fix: "));
	return -EIO;
}

static int conclude(const char *verb, pid_t pid, int out, struct pk_err *err)
{
	own_mem char *text = NULL;
	struct pk_err seen = { 0 };
	size_t len = 0;
	int status, r = pk_fs_read_fd(out, ANSWER_MAX, &text, &len, &seen);

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return pk_fail(err, errno, "wait for the plugin");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && r == 0)
		return 0;
	if (!WIFEXITED(status))
		return pk_fail(err, 0, "the plugin's %s ended by signal %d", verb,
			       WTERMSIG(status));
	if (WEXITSTATUS(status) == 127 || r < 0)
		return pk_fail(err, 0, "the plugin can't be run");
	return read_error(verb, text, len, err);
}

int attach_run(const struct attach *a, const char *verb, const char *conf, struct pk_err *err)
{
	own_fd int to_read = -1, to_write = -1, answer = -1, said = -1;
	int in[2], out[2];
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return pk_fail(err, errno, "pipe");
	to_read = in[0], to_write = in[1];
	if (pipe2(out, O_CLOEXEC) < 0)
		return pk_fail(err, errno, "pipe");
	answer = out[0], said = out[1];
	pid = fork();
	if (pid < 0)
		return pk_fail(err, errno, "start %s", a->plugin);
	if (pid == 0)
		become(a, verb, to_read, said);
	close(PK_MOVE(to_read, -1));
	close(PK_MOVE(said, -1));
	send(to_write, conf);
	close(PK_MOVE(to_write, -1));
	return conclude(verb, pid, answer, err);
}
