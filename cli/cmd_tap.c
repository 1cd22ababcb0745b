/* SPDX-License-Identifier: Apache-2.0 */
/* picket tap: asks picketd for a host tap and becomes the VMM that gets it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "addr.h"
#include "cli.h"
#include "fs.h"
#include "own.h"
#include "tap_ask.h"

#define WAIT_S	 10.0 /* s, in which picketd starts anew and the VMM of before ends */
#define FIRST_FD 3    /* as systemd's LISTEN_FDS have it */
#define AGAIN_NS 100000000

static int ask(const struct cli *cli, double wait, struct pk_tap_answer *answer, struct pk_err *err)
{
	static const struct timespec pause = { .tv_nsec = AGAIN_NS };
	const uint64_t until = pk_now_ns() + (uint64_t)(wait * 1e9);
	struct pk_tap_question question = { 0 };
	const char *endpoint = cli_get(cli, "endpoint");

	if (endpoint && strlen(endpoint) >= sizeof(question.endpoint))
		return pk_fail(err, 0, "-endpoint is longer than any name of one");
	strcpy(question.endpoint, endpoint ?: "");
	for (;;) {
		int r = pk_tap_ask(cli->paths.tap_socket, &question, until + AGAIN_NS * 10ull,
				   answer, err);

		if (r != -EAGAIN || pk_now_ns() >= until)
			return r;
		*err = (struct pk_err){ 0 };
		nanosleep(&pause, NULL);
	}
}

/* Moves each descriptor above its final number first, so that none lands on another. */
static int place(struct pk_tap_answer *answer, struct pk_err *err)
{
	const int end = FIRST_FD + (int)answer->queues;

	for (uint32_t i = 0; i < answer->queues; i++) {
		int fd = fcntl(answer->fd[i], F_DUPFD_CLOEXEC, end);

		if (fd < 0)
			return pk_fail(err, errno, "place the descriptors");
		close(answer->fd[i]);
		answer->fd[i] = fd;
	}
	for (uint32_t i = 0; i < answer->queues; i++)
		if (dup2(answer->fd[i], FIRST_FD + (int)i) < 0)
			return pk_fail(err, errno, "place the descriptors");
	return 0;
}

static void tell_environment(const struct pk_tap_answer *answer)
{
	char text[PK_TAP_QUEUES_MAX * 4] = "", mac[PK_MAC_TEXT];
	size_t at = 0;

	for (uint32_t i = 0; i < answer->queues; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u", i ? ":" : "",
				       FIRST_FD + i);
	setenv("PICKET_TAP_FDS", text, 1);
	setenv("PICKET_TAP_MAC", pk_mac_format(answer->mac, mac), 1);
	snprintf(text, sizeof(text), "%u", answer->mtu);
	setenv("PICKET_TAP_MTU", text, 1);
}

static int tap(struct cli *cli)
{
	own_tap_answer answer = { 0 };
	struct pk_err err = { 0 };
	const char *text = cli_get(cli, "wait");
	double wait = WAIT_S;

	memset(answer.fd, -1, sizeof(answer.fd));
	if (text && cli_duration(text, &wait) < 0)
		return cli_usage(cli, "-wait \"%s\" is no duration like 30s", text);
	if (ask(cli, wait, &answer, &err) < 0 || place(&answer, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	tell_environment(&answer);
	signal(SIGPIPE, SIG_DFL);
	execvp(cli->argv[0], cli->argv);
	pk_fix(&err, pk_fail(&err, errno, "run %s", cli->argv[0]),
	       "name the VMM's program behind --, by its path or as PATH finds it");
	return cli_fail(cli, &err, CLI_CANNOT);
}

static const struct cli_option options[] = {
	{ "endpoint", "ID",
	  "container id, <container id>@<interface> or pk<slot>; default: the "
	  "endpoint of this network namespace",
	  0 },
	{ "wait", "TIME", "ask again until it is there and free, at most this long (10s)", 0 },
	{ 0 },
};
const struct cli_command cli_tap_commands[] = {
	{ "tap", NULL, "-- COMMAND...", "run a VMM with its host tap as descriptor 3 and up", 1, -1,
	  options, tap, false },
	{ 0 },
};
