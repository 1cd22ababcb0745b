/* SPDX-License-Identifier: Apache-2.0 */
#include "tap_ask.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "addr.h"
#include "fs.h"
#include "json.h"
#include "own.h"

#define VERSION 1

void pk_tap_answer_done(struct pk_tap_answer *answer)
{
	for (int i = 0; i < PK_TAP_QUEUES_MAX; i++)
		if (answer->fd[i] >= 0)
			close(PK_MOVE(answer->fd[i], -1));
}

static int check_version(const struct pk_json_doc *doc, const struct pk_json *root,
			 struct pk_err *err)
{
	int64_t version = 0;
	int r = pk_json_get_int(doc, root, "version", (struct pk_json_range){ 0, INT32_MAX },
				&version, err);

	if (r < 0 || version == VERSION)
		return r;
	r = pk_fail(err, 0, "version %lld of the question is not this release's",
		    (long long)version);
	return pk_fix(err, r, "use picketd and picket of one release");
}

int pk_tap_question_read(const char *text, size_t len, struct pk_tap_question *question,
			 struct pk_err *err)
{
	static const char *const keys[] = { "version", "endpoint", NULL };
	own_json *doc = NULL;
	const struct pk_json *root;
	const char *endpoint = "";
	int r = pk_json_parse("question", text, len, 0, &doc, err);

	if (r < 0)
		return r;
	root = pk_json_root(doc);
	if (pk_json_type(root) != PK_JSON_OBJECT)
		return pk_json_fail(err, doc, root, false, "expected an object");
	r = pk_json_only(doc, root, keys, err);
	if (r == 0)
		r = check_version(doc, root, err);
	if (r == 0)
		r = pk_json_get_string(doc, root, "endpoint", &endpoint, err);
	if (r == 0 && strlen(endpoint) >= sizeof(question->endpoint))
		r = pk_json_fail(err, doc, root, false, "the endpoint's name is too long");
	if (r == 0)
		strcpy(question->endpoint, endpoint);
	return r;
}

void pk_tap_refusal_write(struct pk_str *out, const struct pk_err *err, bool later)
{
	struct pk_jw w = { .out = out };

	pk_jw_open(&w, NULL, '{');
	pk_jw_uint(&w, "version", VERSION);
	pk_jw_string(&w, "error", err->text);
	pk_jw_string(&w, "fix", err->fix);
	pk_jw_bool(&w, "later", later);
	pk_jw_close(&w, '}');
}

void pk_tap_answer_write(struct pk_str *out, const struct pk_tap_answer *answer)
{
	struct pk_jw w = { .out = out };
	char mac[PK_MAC_TEXT];

	pk_jw_open(&w, NULL, '{');
	pk_jw_uint(&w, "version", VERSION);
	pk_jw_string(&w, "device", answer->device);
	pk_jw_string(&w, "mac", pk_mac_format(answer->mac, mac));
	pk_jw_uint(&w, "mtu", answer->mtu);
	pk_jw_uint(&w, "queues", answer->queues);
	pk_jw_close(&w, '}');
}

static int connect_to(const char *path, int *out, struct pk_err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	own_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return pk_fail(err, errno, "socket");
	if (strlen(path) >= sizeof(sun.sun_path))
		return pk_fail(err, ENAMETOOLONG, "socket %s", path);
	strcpy(sun.sun_path, path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		bool later = errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN;

		pk_fix(err, pk_fail(err, errno, "picketd doesn't hand over at %s", path),
		       "start picketd on this node; in a container, mount that socket");
		return later ? -EAGAIN : -EACCES;
	}
	*out = PK_MOVE(fd, -1);
	return 0;
}

static int ask(int fd, const struct pk_tap_question *question, struct pk_err *err)
{
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };

	pk_jw_open(&w, NULL, '{');
	pk_jw_uint(&w, "version", VERSION);
	pk_jw_string(&w, "endpoint", question->endpoint);
	pk_jw_close(&w, '}');
	if (text.failed || send(fd, text.text, text.len, MSG_NOSIGNAL) < 0)
		return pk_fail(err, text.failed ? ENOMEM : errno, "ask picketd");
	return 0;
}

/* Takes what came with the message, however many: none stays open that nobody knows of. */
static void take_descriptors(struct msghdr *msg, struct pk_tap_answer *answer)
{
	int fd[PK_TAP_QUEUES_MAX];

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		answer->queues = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fd, CMSG_DATA(c), answer->queues * sizeof(int));
		memcpy(answer->fd, fd, answer->queues * sizeof(int));
	}
}

static int hear(int fd, uint64_t deadline_ns, char *text, size_t *len, struct pk_tap_answer *answer,
		struct pk_err *err)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(PK_TAP_QUEUES_MAX * sizeof(int))];
	struct iovec part = { .iov_base = text, .iov_len = PK_TAP_MESSAGE_MAX };
	struct msghdr msg = { .msg_iov = &part,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct pollfd in = { .fd = fd, .events = POLLIN };
	uint64_t now = pk_now_ns();
	ssize_t n;

	if (poll(&in, 1, now < deadline_ns ? (int)((deadline_ns - now) / 1000000) : 0) <= 0)
		return pk_fix(err,
			      pk_fail(err, ETIMEDOUT, "picketd took the question and is silent"),
			      "look at picketd's log and status");
	n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	if (n <= 0) {
		pk_fail(err, n < 0 ? errno : ECONNRESET, "picketd gave no answer");
		return -EAGAIN;
	}
	take_descriptors(&msg, answer);
	*len = (size_t)n;
	return 0;
}

static int read_answer(const char *text, size_t len, struct pk_tap_answer *answer,
		       struct pk_err *err)
{
	own_json *doc = NULL;
	const struct pk_json *root;
	const char *error, *device, *mac;
	int64_t mtu;
	int r = pk_json_parse("picketd's answer", text, len, PK_JSON_RELAXED, &doc, err);

	if (r < 0)
		return r;
	root = pk_json_root(doc);
	error = pk_json_string(pk_json_get(root, "error"));
	if (error) {
		pk_fail(err, 0, "%s", error);
		pk_fix(err, 0, "%s", pk_json_string(pk_json_get(root, "fix")) ?: "");
		return pk_json_true(pk_json_get(root, "later")) ? -EAGAIN : -EPERM;
	}
	device = pk_json_string(pk_json_get(root, "device"));
	mac = pk_json_string(pk_json_get(root, "mac"));
	if (!answer->queues || !device || strlen(device) >= sizeof(answer->device) || !mac ||
	    pk_mac_parse(mac, answer->mac) < 0 ||
	    pk_json_int(pk_json_get(root, "mtu"), 0, UINT16_MAX, &mtu) < 0)
		return pk_fail(err, EPROTO, "picketd's answer lacks something");
	strcpy(answer->device, device);
	answer->mtu = (uint32_t)mtu;
	return 0;
}

int pk_tap_ask(const char *socket, const struct pk_tap_question *question, uint64_t deadline_ns,
	       struct pk_tap_answer *answer, struct pk_err *err)
{
	own_tap_answer got = { 0 };
	char text[PK_TAP_MESSAGE_MAX];
	own_fd int fd = -1;
	size_t len = 0;
	int r = connect_to(socket, &fd, err);

	memset(got.fd, -1, sizeof(got.fd));
	if (r == 0)
		r = ask(fd, question, err);
	if (r == 0)
		r = hear(fd, deadline_ns, text, &len, &got, err);
	if (r == 0)
		r = read_answer(text, len, &got, err);
	if (r < 0)
		return r;
	*answer = got;
	memset(got.fd, -1, sizeof(got.fd));
	return 0;
}
