/* SPDX-License-Identifier: Apache-2.0 */
/* The socket's client against raw answers: whole, cut short, not HTTP, too long, silent. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl.h"
#include "fs.h"
#include "own.h"

#define OK "HTTP/1.1 200 OK\r\n"

static char dir[64], path[96];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/picket-ctl-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

/* A server that answers one connection with these bytes; NULL = never. Dies with the test. */
static pid_t serve(const char *answer)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	pid_t pid;

	unlink(path);
	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	pid = fork();
	if (pid == 0) {
		char request[4096];
		int c;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		c = accept(fd, NULL, NULL);
		if (read(c, request, sizeof(request)) <= 0)
			_exit(1);
		if (!answer)
			pause();
		/* in pieces, so that nothing may rely on one read */
		for (size_t i = 0; i < strlen(answer); i += 7)
			if (write(c, answer + i, strnlen(answer + i, 7)) < 0)
				break;
		close(c);
		_exit(0);
	}
	close(fd);
	return pid;
}

static void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_answers(void **state)
{
	static const struct {
		const char *what, *answer;
		int r, status;
		const char *body;
	} row[] = {
		{ "a length", OK "Content-Length: 2\r\n\r\n{}", 0, 200, "{}" },
		{ "until the end", OK "\r\n{\"a\": 1}", 0, 200, "{\"a\": 1}" },
		{ "chunks",
		  OK
		  "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
		  0, 200, "abc0123456789" },
		{ "no body", OK "Content-Length: 0\r\n\r\n", 0, 200, "" },
		{ "an error's body", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n{  }", 0,
		  404, "{  }" },
		{ "bytes beyond the length are not ours", OK "Content-Length: 2\r\n\r\n{}extra", 0,
		  200, "{}" },
		{ "cut short in the head", OK "Content-Le", -EPROTO, 0, NULL },
		{ "cut short in the body", OK "Content-Length: 9\r\n\r\n{}", -EPROTO, 0, NULL },
		{ "cut short between chunks", OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		  -EPROTO, 0, NULL },
		{ "a chunk that isn't a number", OK "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
		  -EPROTO, 0, NULL },
		{ "a chunk longer than it says",
		  OK "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", -EPROTO, 0, NULL },
		{ "another encoding", OK "Transfer-Encoding: gzip\r\n\r\n", -EPROTO, 0, NULL },
		{ "a negative length", OK "Content-Length: -1\r\n\r\n", -EPROTO, 0, NULL },
		{ "not HTTP", "SSH-2.0-OpenSSH_9.2p1\r\n", -EPROTO, 0, NULL },
		{ "nothing at all", "", -EPROTO, 0, NULL },
		{ "more than the cap", OK "\r\n0123456789012345678901234567890123456789", -EFBIG, 0,
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(row); i++) {
		struct pk_ctl_request q = { .socket = path,
					    .method = "GET",
					    .path = "/v1/status",
					    .cap = 32,
					    .deadline_ns = pk_now_ns() + 10000000000u };
		struct pk_ctl_answer answer = { 0 };
		struct pk_err err = { 0 };
		pid_t pid = serve(row[i].answer);
		int r = pk_ctl(&q, &answer, &err);

		reap(pid);
		if (r != row[i].r)
			fail_msg("%s: %d: %s", row[i].what, r, err.text);
		if (r == 0 && (answer.status != row[i].status || strcmp(answer.body, row[i].body)))
			fail_msg("%s: status %d, body %s", row[i].what, answer.status, answer.body);
		pk_ctl_answer_done(&answer);
	}
}

static void test_deadline(void **state)
{
	struct pk_ctl_request q = { .socket = path, .method = "POST", .path = "/", .body = "{}" };
	struct pk_ctl_answer answer;
	struct pk_err err = { 0 };
	pid_t pid = serve(NULL);

	(void)state;
	q.deadline_ns = pk_now_ns() + 50000000;
	assert_int_equal(pk_ctl(&q, &answer, &err), -ETIMEDOUT);
	reap(pid);
	/* the file is there, nobody listens; then no file */
	assert_int_equal(pk_ctl(&q, &answer, &err), -ECONNREFUSED);
	unlink(path);
	assert_int_equal(pk_ctl(&q, &answer, &err), -ENOENT);
	assert_non_null(strstr(err.fix, "picketd"));
}

static int take_line(void *arg, char *line, size_t len)
{
	char *seen = arg;

	assert_int_equal(strlen(line), len);
	strcat(strcat(seen, line), "|");
	return strcmp(line, "stop") ? 0 : 42;
}

static void test_lines(void **state)
{
	static const char *const answer[] = {
		OK "Transfer-Encoding: "
		   "chunked\r\n\r\n4\r\none\n\r\n6\r\ntwo\nth\r\n3\r\nree\r\n0\r\n\r\n",
		OK "\r\none\nstop\nnever\n",
	};
	static const struct {
		const char *seen;
		int r;
	} want[] = { { "one|two|three|", 0 }, { "one|stop|", 42 } };

	(void)state;
	for (int i = 0; i < 2; i++) {
		char seen[128] = "";
		struct pk_ctl_request q = { .socket = path,
					    .method = "GET",
					    .path = "/v1/flows",
					    .line = take_line,
					    .arg = seen };
		struct pk_ctl_answer a;
		pid_t pid = serve(answer[i]);

		assert_int_equal(pk_ctl(&q, &a, NULL), want[i].r);
		assert_string_equal(seen, want[i].seen);
		pk_ctl_answer_done(&a);
		reap(pid);
	}
}

static void test_errors_of_picketd(void **state)
{
	struct pk_ctl_request q = { .socket = path, .method = "GET", .path = "/" };
	struct pk_ctl_answer answer;
	struct pk_err err = { 0 };
	char to[64] = "/v1/endpoints/";
	pid_t pid = serve("HTTP/1.1 404 Not Found\r\n\r\n{\"error\": \"no such endpoint\", "
			  "\"fix\": \"look\"}");

	(void)state;
	/* Not -ENOENT: somebody listens. */
	assert_int_equal(pk_ctl_ok(&q, &answer, &err), -ENODATA);
	assert_string_equal(err.text, "no such endpoint");
	assert_string_equal(err.fix, "look");
	reap(pid);
	assert_int_equal(pk_ctl_encode(to, sizeof(to), "a b/\xc3\xbc"), 0);
	assert_string_equal(to, "/v1/endpoints/a%20b%2F%C3%BC");
	assert_int_equal(pk_ctl_encode(to, 30, "another one"), -ENAMETOOLONG);
	/* a path that isn't encoded would end the request line */
	q.path = "/a b HTTP/1.1\r\nX: y";
	pid = serve("");
	assert_true(pk_ctl(&q, &answer, &err) < 0);
	reap(pid);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_of_picketd, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
