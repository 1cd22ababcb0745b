/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl_body.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "own.h"
#include "str.h"

#define LINE_MAX_   8192
#define HEADERS_MAX 64

static int fail_proto(struct pk_err *err, const char *what)
{
	return pk_fail(err, EPROTO, "picketd's answer: %s", what);
}

/* Reads more. Returns 1 where there is something to take, 0 at the end, or -errno. */
static int fill(struct pk_ctl_stream *s, struct pk_err *err)
{
	while (s->at == s->len) {
		ssize_t n = read(s->fd, s->buf, sizeof(s->buf));
		int r;

		if (n >= 0) {
			s->at = 0;
			s->len = (size_t)n;
			return n > 0;
		}
		if (errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return pk_fail(err, errno, "read from picketd");
		r = pk_ctl_wait(s, POLLIN, err);
		if (r < 0)
			return r;
	}
	return 1;
}

/* Reads one line of head or framing, without its end. */
static int read_line(struct pk_ctl_stream *s, char line[LINE_MAX_], struct pk_err *err)
{
	size_t n = 0;

	for (;;) {
		int r = fill(s, err);
		char c;

		if (r <= 0)
			return r < 0 ? r : fail_proto(err, "cut short");
		c = s->buf[s->at++];
		if (c == '\n')
			break;
		if (!c || n == LINE_MAX_ - 1)
			return fail_proto(err, c ? "a line is too long" : "not HTTP");
		line[n++] = c;
	}
	if (n && line[n - 1] == '\r')
		n--;
	line[n] = '\0';
	return 0;
}

static const char *header(const char *line, const char *name)
{
	size_t n = strlen(name);

	if (strncasecmp(line, name, n) || line[n] != ':')
		return NULL;
	line += n + 1;
	return line + strspn(line, " \t");
}

static int take_header(struct pk_ctl_stream *s, const char *line, struct pk_err *err)
{
	const char *value = header(line, "Content-Length");

	if (value) {
		s->has_length = true;
		if (pk_parse_u64(value, UINT64_MAX / 2, &s->length) < 0)
			return fail_proto(err, "bad Content-Length");
	}
	value = header(line, "Transfer-Encoding");
	if (value && strcasecmp(value, "chunked"))
		return fail_proto(err, "unknown Transfer-Encoding");
	s->chunked |= value != NULL;
	return 0;
}

int pk_ctl_read_head(struct pk_ctl_stream *s, int *status, struct pk_err *err)
{
	char line[LINE_MAX_] = "";
	int r = read_line(s, line, err);

	if (r < 0)
		return r;
	if (strncmp(line, "HTTP/1.", 7) || strlen(line) < 12 || line[8] != ' ')
		return fail_proto(err, "not HTTP");
	*status = atoi(line + 9);
	if (*status < 200 || *status > 599)
		return fail_proto(err, "bad status");
	for (int i = 0; i < HEADERS_MAX; i++) {
		r = read_line(s, line, err);
		if (r < 0 || !*line)
			return r;
		r = take_header(s, line, err);
		if (r < 0)
			return r;
	}
	return fail_proto(err, "too many headers");
}

struct body {
	struct pk_str text; /* the whole of it, or the line under construction */
	const struct pk_ctl_request *q;
	bool lines;
	struct pk_err *err;
};

/* Gives out the lines of `n` more bytes; the rest waits in text. */
static int take_lines(struct body *b, const char *data, size_t n)
{
	while (n) {
		const char *end = memchr(data, '\n', n);
		size_t part = end ? (size_t)(end - data) : n;
		own_mem char *line = NULL;
		size_t len;
		int r;

		pk_str_addn(&b->text, data, part);
		if (b->text.failed)
			return pk_fail(b->err, EFBIG, "a line of picketd's answer");
		if (!end)
			return 0;
		data += part + 1;
		n -= part + 1;
		len = b->text.len;
		line = len ? pk_str_take(&b->text) : pk_alloc(1);
		r = b->q->line(b->q->arg, line, len);
		if (r)
			return r;
	}
	return 0;
}

static int take(struct body *b, const char *data, size_t n)
{
	if (b->lines)
		return take_lines(b, data, n);
	pk_str_addn(&b->text, data, n);
	return b->text.failed ? pk_fail(b->err, EFBIG, "picketd's answer") : 0;
}

/* Takes `left` bytes, or with UINT64_MAX all until the end. */
static int take_bytes(struct pk_ctl_stream *s, struct body *b, uint64_t left)
{
	bool to_end = left == UINT64_MAX;

	while (left) {
		int r = fill(s, b->err);
		size_t n = s->len - s->at;

		if (r < 0)
			return r;
		if (r == 0)
			return to_end ? 0 : fail_proto(b->err, "cut short");
		n = n > left ? (size_t)left : n;
		r = take(b, s->buf + s->at, n);
		if (r)
			return r;
		s->at += n;
		left -= to_end ? 0 : n;
	}
	return 0;
}

static int take_chunks(struct pk_ctl_stream *s, struct body *b)
{
	char line[LINE_MAX_] = "";

	for (;;) {
		unsigned long long size;
		char *end;
		int r = read_line(s, line, b->err);

		if (r < 0)
			return r;
		errno = 0;
		size = strtoull(line, &end, 16);
		if (end == line || errno || size > UINT64_MAX / 2 || (*end && *end != ';'))
			return fail_proto(b->err, "bad chunk");
		if (!size)
			return 0;
		r = take_bytes(s, b, size);
		if (r == 0)
			r = read_line(s, line, b->err);
		if (r)
			return r;
		if (*line)
			return fail_proto(b->err, "bad chunk");
	}
}

int pk_ctl_read_body(struct pk_ctl_stream *s, const struct pk_ctl_request *q,
		     struct pk_ctl_answer *answer, size_t cap, struct pk_err *err)
{
	struct body b = {
		.q = q, .text.cap = cap, .lines = q->line && answer->status == 200, .err = err
	};
	uint64_t length = s->has_length ? s->length : UINT64_MAX;
	int r = s->chunked ? take_chunks(s, &b) : take_bytes(s, &b, length);

	if (r == 0 && b.lines && b.text.len)
		r = take_lines(&b, "\n", 1);
	if (r) {
		pk_str_done(&b.text);
		return r;
	}
	answer->len = b.text.len;
	answer->body = pk_str_take(&b.text);
	return answer->body ? 0 : pk_fail(err, ENOMEM, "answer");
}
