/* SPDX-License-Identifier: Apache-2.0 */
/* Connects, sends, reads the head. The body's framing: ctl_body.c. */
#include "ctl.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl_body.h"
#include "fs.h"
#include "json.h"
#include "own.h"

#define BODY_CAP (64u << 20)

static int fail_socket(struct pk_err *err, int num, const char *socket)
{
	int r = pk_fail(err, num, "connect to %s", socket);

	return num == EACCES ? r
			     : pk_fix(err, r, "start picketd, or name its socket: -socket, -root");
}

static int connect_socket(const char *path, int *out, struct pk_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	own_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return pk_fail(err, errno, "socket");
	if (strlen(path) >= sizeof(addr.sun_path))
		return pk_fail(err, ENAMETOOLONG, "socket %s", path);
	strcpy(addr.sun_path, path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return fail_socket(err, errno, path);
	*out = PK_MOVE(fd, -1);
	return 0;
}

int pk_ctl_wait(const struct pk_ctl_stream *s, short events, struct pk_err *err)
{
	struct pollfd p = { .fd = s->fd, .events = events };
	uint64_t now = pk_now_ns();
	int wait = -1, n;

	if (s->deadline_ns && now >= s->deadline_ns)
		return pk_code(err, pk_fail(err, ETIMEDOUT, "picketd"), PK_CODE_DEADLINE);
	if (s->deadline_ns)
		wait = (int)((s->deadline_ns - now) / 1000000) + 1;
	n = poll(&p, 1, wait);
	if (n < 0 && errno != EINTR)
		return pk_fail(err, errno, "poll");
	return 0;
}

static int send_all(const struct pk_ctl_stream *s, const char *data, size_t len, struct pk_err *err)
{
	while (len) {
		ssize_t n = send(s->fd, data, len, MSG_NOSIGNAL);
		int r;

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return pk_fail(err, errno, "send to picketd");
		r = pk_ctl_wait(s, POLLOUT, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int send_request(const struct pk_ctl_stream *s, const struct pk_ctl_request *q,
			struct pk_err *err)
{
	own_str text = { 0 };

	for (const char *p = q->path; *p; p++)
		if (!isgraph((unsigned char)*p))
			return pk_fail(err, 0, "path \"%s\" is not encoded", q->path);
	pk_str_addf(&text, "%s %s HTTP/1.1\r\nHost: picketd\r\nConnection: close\r\n", q->method,
		    q->path);
	if (q->body)
		pk_str_addf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			    strlen(q->body));
	pk_str_add(&text, "\r\n");
	if (q->body)
		pk_str_add(&text, q->body);
	return text.failed ? pk_fail(err, ENOMEM, "request")
			   : send_all(s, text.text, text.len, err);
}

int pk_ctl(const struct pk_ctl_request *q, struct pk_ctl_answer *answer, struct pk_err *err)
{
	struct pk_ctl_stream s = { .deadline_ns = q->deadline_ns };
	own_fd int fd = -1;
	int r = connect_socket(q->socket, &fd, err);

	memset(answer, 0, sizeof(*answer));
	if (r < 0)
		return r;
	s.fd = fd;
	r = send_request(&s, q, err);
	if (r == 0)
		r = pk_ctl_read_head(&s, &answer->status, err);
	if (r == 0)
		r = pk_ctl_read_body(&s, q, answer, q->cap ? q->cap : BODY_CAP, err);
	if (r != 0)
		pk_ctl_answer_done(answer);
	return r;
}

void pk_ctl_answer_done(struct pk_ctl_answer *answer)
{
	free(answer->body);
	answer->body = NULL;
}

static int status_error(int status)
{
	switch (status) {
	case 403:
		return EPERM;
	case 404:
		return ENODATA;
	case 503:
		return EAGAIN;
	default:
		return EIO;
	}
}

static int answer_error(const struct pk_ctl_answer *answer, struct pk_err *err)
{
	own_json *doc = NULL;
	const char *what, *fix;
	int num = status_error(answer->status);

	if (pk_json_parse("answer", answer->body, answer->len, PK_JSON_RELAXED, &doc, NULL) < 0 ||
	    pk_json_type(pk_json_root(doc)) != PK_JSON_OBJECT)
		return pk_fail(err, num, "picketd answered %d", answer->status);
	what = pk_json_string(pk_json_get(pk_json_root(doc), "error"));
	fix = pk_json_string(pk_json_get(pk_json_root(doc), "fix"));
	pk_fail(err, 0, "%s", what ? what : "picketd gave no reason");
	return fix ? pk_fix(err, -num, "%s", fix) : -num;
}

int pk_ctl_ok(const struct pk_ctl_request *q, struct pk_ctl_answer *answer, struct pk_err *err)
{
	int r = pk_ctl(q, answer, err);

	if (r != 0 || answer->status == 200)
		return r;
	r = answer_error(answer, err);
	pk_ctl_answer_done(answer);
	return r;
}

int pk_ctl_encode(char *to, size_t room, const char *text)
{
	size_t at = strlen(to);
	own_str encoded = { 0 };

	pk_str_add_percent(&encoded, text, "-._~");
	if (at + encoded.len >= room)
		return -ENAMETOOLONG;
	strcpy(to + at, encoded.len ? encoded.text : "");
	return 0;
}
