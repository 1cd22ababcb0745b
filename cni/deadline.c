/* SPDX-License-Identifier: Apache-2.0 */
/* A verb's time is checked between steps, and by a timer where a step never returns. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "fs.h"
#include "own.h"
#include "report.h"
#include "verb.h"

/*
 * The time past the deadline after which the timer speaks. A verb that notices by itself says what
 * it waited for, which is better, and on a busy node that may take it so long.
 */
#define GRACE_MS 1000
#define LOAD_MS	 20000
#define FIX	 "look at what the node is busy with, or raise the conflist's \"deadline\""

static char last_word[512];
static int last_to, last_status;

static void on_alarm(int signal)
{
	ssize_t n = write(last_to, last_word, strlen(last_word));

	(void)signal, (void)n;
	cni_count_late(PK_CODE_DEADLINE);
	_exit(last_status);
}

void cni_deadline_start(struct cni_call *call, uint32_t ms)
{
	struct itimerval timer = { .it_value = { (ms + GRACE_MS) / 1000,
						 (ms + GRACE_MS) % 1000 * 1000 } };
	struct pk_err err = { .code = PK_CODE_DEADLINE, .fix = FIX };
	struct sigaction action = { .sa_handler = on_alarm };
	own_str out = { 0 };

	snprintf(err.text, sizeof(err.text), "%s did not end within %u ms",
		 cni_verb_name(call->env.verb), ms);
	cni_report(call->conf.version, &err, &out);
	snprintf(last_word, sizeof(last_word), "%s", out.text ? out.text : "");
	/* A failed CHECK would cost a running VM its network (verb_check.c), so it only logs. */
	last_to = call->env.verb == CNI_CHECK ? STDERR_FILENO : STDOUT_FILENO;
	last_status = call->env.verb != CNI_CHECK;
	call->deadline_ns = pk_now_ns() + ms * UINT64_C(1000000);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

uint32_t cni_deadline_of_load(const struct cni_conf *conf)
{
	return conf->deadline_ms > LOAD_MS ? conf->deadline_ms : LOAD_MS;
}

void cni_deadline_end(void)
{
	static const struct itimerval never;

	setitimer(ITIMER_REAL, &never, NULL);
}

int cni_in_time(const struct cni_call *call, const char *what, struct pk_err *err)
{
	if (pk_now_ns() < call->deadline_ns)
		return 0;
	pk_fail(err, ETIMEDOUT, "%s", what);
	pk_fix(err, 0, FIX);
	return pk_code(err, -ETIMEDOUT, PK_CODE_DEADLINE);
}
