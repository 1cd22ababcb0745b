/* SPDX-License-Identifier: Apache-2.0 */
#include "systemd.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs.h"
#include "log.h"
#include "own.h"
#include "str.h"

#define STATUS_MS 1000 /* between two looks at whether the status has changed */

struct pk_systemd {
	const struct pk_parts *parts;
	struct pk_timer *status_timer, *watchdog_timer;
	uint64_t watchdog_ms; /* 0: nobody watches */
	char *status;	      /* as it was said last */
};

void pk_systemd_say(const char *state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	own_fd int fd = -1;

	if (!path || strlen(path) >= sizeof(sun.sun_path))
		return;
	strcpy(sun.sun_path, path);
	if (sun.sun_path[0] == '@')
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 &&
	    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (void *)&sun,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		log_debug("op=notify err=ignored");
}

void pk_systemd_reloading(void)
{
	own_str text = { 0 };

	pk_str_addf(&text, "RELOADING=1\nMONOTONIC_USEC=%llu",
		    (unsigned long long)(pk_now_ns() / 1000));
	pk_systemd_say(text.text);
}

/* Returns the status as one line, what is wrong first. */
static char *status_of(const struct pk_parts *p)
{
	const struct pk_apply_state *state = pk_apply_state(p->apply);
	const char *wrong = state->load_error.text;
	own_str text = { 0 };

	wrong = *wrong ? wrong : state->apply_error.text;
	wrong = *wrong ? wrong : state->store_error.text;
	wrong = *wrong ? wrong : p->config_error->text;
	pk_str_addf(&text, "STATUS=%s%s%zu endpoints, policy revision %lu", wrong,
		    *wrong ? "; " : "", pk_model_count(p->model), state->revision);
	/* A line end would begin another assignment. */
	for (char *at = text.text; at && *at; at++)
		if (*at == '\n')
			*at = ' ';
	return pk_str_take(&text);
}

static void on_status(void *arg)
{
	struct pk_systemd *s = arg;
	char *status = status_of(s->parts);

	pk_timer_set(s->status_timer, STATUS_MS);
	if (!status || (s->status && strcmp(status, s->status) == 0)) {
		free(status);
		return;
	}
	free(s->status);
	s->status = status;
	pk_systemd_say(status);
}

static void on_watchdog(void *arg)
{
	struct pk_systemd *s = arg;

	pk_timer_set(s->watchdog_timer, s->watchdog_ms);
	pk_systemd_say("WATCHDOG=1");
}

/*
 * Returns half of the interval that systemd asks for, as it advises. A variable inherited from
 * another unit's process doesn't count.
 */
static uint64_t watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t value;

	if (!usec || pk_parse_u64(usec, UINT64_MAX, &value) < 0 || value < 2000)
		return 0;
	if (pid && strtol(pid, NULL, 10) != getpid())
		return 0;
	return value / 2000;
}

struct pk_systemd *pk_systemd_new(const struct pk_parts *parts)
{
	struct pk_systemd *s = pk_alloc(sizeof(*s));

	s->parts = parts;
	s->watchdog_ms = watchdog_ms();
	s->status_timer = pk_timer_new(parts->loop, on_status, s);
	s->watchdog_timer = pk_timer_new(parts->loop, on_watchdog, s);
	if (getenv("NOTIFY_SOCKET"))
		pk_timer_set(s->status_timer, 0);
	if (s->watchdog_ms)
		pk_timer_set(s->watchdog_timer, 0);
	return s;
}

void pk_systemd_free(struct pk_systemd *s)
{
	if (!s)
		return;
	pk_timer_free(s->status_timer);
	pk_timer_free(s->watchdog_timer);
	free(s->status);
	free(s);
}
