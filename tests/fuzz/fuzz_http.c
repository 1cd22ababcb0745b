/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unix socket's server: raw bytes of a client that is no friend. Whatever comes, each request
 * that is handed out is answered once, and nothing of it stays.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/api/httpd.h"
#include "own.h"

static struct pk_loop *loop;
static char path[64];

static void serve(void *arg, struct pk_exchange *x)
{
	const char *last = pk_exchange_query(x, "last");
	own_str json = { 0 };
	size_t len;
	const char *body = pk_exchange_body(x, &len);

	(void)arg;
	if (len && (body[0] == 0 || body[len - 1] == 0))
		pk_str_add(&json, "zero");
	if (last && strlen(last) % 2) {
		pk_exchange_stream(x);
		pk_exchange_line(x, "{}", 2);
		pk_exchange_end(x);
		return;
	}
	if (!*pk_exchange_method(x) || !*pk_exchange_path(x)) {
		pk_exchange_error(x, 400, "what", NULL);
		return;
	}
	pk_str_add(&json, "{}");
	pk_exchange_reply(x, 200, &json);
}

static void quiet(int severity, const char *text)
{
	(void)severity;
	(void)text;
}

static void start(void)
{
	struct pk_httpd *httpd;

	snprintf(path, sizeof(path), "/tmp/pk-fuzz-http-%d.sock", (int)getpid());
	loop = pk_loop_new();
	event_set_log_callback(quiet);
	httpd = pk_httpd_new(loop, path, "nogroup", NULL);
	if (!httpd)
		abort();
	pk_httpd_serve(httpd, serve, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	own_fd int fd = -1;
	char answer[4096];

	if (!loop)
		start();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	strcpy(sun.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		abort();
	if (write(fd, data, size) < 0)
		return 0;
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 64; i++) {
		event_base_loop(pk_loop_base(loop), EVLOOP_NONBLOCK);
		if (read(fd, answer, sizeof(answer)) == 0)
			return 0; /* it closed: all was said */
	}
	return 0;
}
