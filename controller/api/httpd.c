/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clients.h"
#include "httpd_private.h"
#include "log.h"
#include "own.h"
#include "unix_listen.h"

#define HEAD_MAX 8192
#define BODY_MAX 65536
#define READERS_MAX                                                                                \
	48 /* connections of readers among them: the rest is for root, and so for the plugin */
#define SCRAPES_MAX 16 /* connections of the network's listener */
/* Descriptors of all connections, with those that are being turned away. */
#define SPAN_MAX (PK_CLIENTS_MAX + 2 * SCRAPES_MAX)
#define FULL_MS	 100 /* between two looks whether one went */

struct pk_httpd {
	struct pk_loop *loop;
	struct evhttp *http;
	struct evconnlistener *listener;
	struct pk_timer *full;
	int first_fd; /* the lowest descriptor that was free before any connection */
	struct event *check;
	struct bufferevent *fresh[PK_CLIENTS_MAX]; /* accepted in this turn */
	size_t n_fresh;
	struct pk_clients clients;
	struct pk_timer *look;
	bool network; /* nobody who comes here is root */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	pk_httpd_fn *fn;
	void *arg;
};

static bool peer_is_root(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.uid == 0;
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct pk_httpd *httpd = arg;
	struct pk_loop *loop = httpd->loop;
	struct pk_exchange *x = httpd_exchange_new(req, &httpd->clients);

	x->admin = !httpd->network && peer_is_root(httpd_exchange_fd(x));
	pk_loop_begin(loop);
	httpd->fn(httpd->arg, x);
	pk_loop_end(loop);
}

/*
 * Finds the group in /etc/group alone: getgrnam would load every library that nsswitch.conf names,
 * 0.3 MB for one number.
 */
static int group_id(const char *name, gid_t *gid)
{
	own_file FILE *f = fopen("/etc/group", "re");
	struct group *gr = NULL;

	while (f && (gr = fgetgrent(f)))
		if (strcmp(gr->gr_name, name) == 0)
			break;
	if (!gr)
		return -ENOENT;
	*gid = gr->gr_gid;
	return 0;
}

static int listen_at(const char *path, const char *group, struct pk_err *err)
{
	own_fd int fd = pk_unix_listen(path, SOCK_STREAM, 0660, err);
	gid_t gid;

	if (fd < 0)
		return fd;
	if (group_id(group, &gid) == 0 && chown(path, 0, gid) < 0)
		return pk_fail(err, errno, "give socket %s to group %s", path, group);
	return PK_MOVE(fd, -1);
}

static socklen_t fill(struct sockaddr_storage *to, const union pk_addr *addr, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (pk_addr_is4(addr)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		v4->sin_addr.s_addr = pk_addr_to4(addr);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	memcpy(&v6->sin6_addr, addr->b, sizeof(v6->sin6_addr));
	return sizeof(*v6);
}

static int listen_on(const union pk_addr *addr, uint16_t port, struct pk_err *err)
{
	struct sockaddr_storage at;
	socklen_t len = fill(&at, addr, port);
	own_fd int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char text[PK_ADDR_TEXT];
	int on = 1;

	if (fd < 0)
		return pk_fail(err, errno, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return pk_fail(err, errno, "SO_REUSEADDR");
	if (bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, SCRAPES_MAX) < 0)
		return pk_fail(err, errno, "listen on %s port %u", pk_addr_format(addr, text),
			       port);
	return PK_MOVE(fd, -1);
}

static int lowest_free_fd(const struct pk_httpd *httpd)
{
	int fd = fcntl(evconnlistener_get_fd(httpd->listener), F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return INT_MAX;
	close(fd);
	return fd;
}

/*
 * Stops accepting while there is no room, and looks again later. evhttp tells of a connection that
 * comes (arg of its bufferevent's maker) but not of one that goes. A new one always has the lowest
 * free descriptor, so the lowest one tells how many there can be.
 */
static void make_room(void *arg)
{
	struct pk_httpd *httpd = arg;

	if (lowest_free_fd(httpd) - httpd->first_fd < SPAN_MAX) {
		evconnlistener_enable(httpd->listener);
		return;
	}
	evconnlistener_disable(httpd->listener);
	pk_timer_set(httpd->full, FULL_MS);
}

static void turn_away(int fd)
{
	static const char answer[] =
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
		"Connection: close\r\nContent-Length: 75\r\n\r\n"
		"{\"error\":\"too many readers hold connections\",\"fix\":"
		"\"end some, or be root\"}\n";

	if (send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("op=httpd turned-away=unheard");
	shutdown(fd, SHUT_RDWR); /* evhttp sees that, and frees the connection */
}

/* clients.h has the idle time of a connection, of which evhttp has no idea. */
static void let_in(struct pk_httpd *httpd, struct bufferevent *bev)
{
	int fd = bufferevent_getfd(bev);

	bufferevent_set_timeouts(bev, NULL, NULL);
	if (!pk_clients_add(&httpd->clients, bev, !httpd->network && peer_is_root(fd)))
		turn_away(fd);
}

void pk_httpd_look(struct pk_httpd *httpd)
{
	pk_clients_look(&httpd->clients, pk_loop_now(httpd->loop));
}

static void look(void *arg)
{
	struct pk_httpd *httpd = arg;

	pk_httpd_look(httpd);
	if (httpd->clients.n)
		pk_timer_set(httpd->look, PK_CLIENTS_LOOK_MS);
}

/*
 * Judges new connections within the turn that accepted them: nothing was read of them yet, and none
 * can be gone.
 */
static void check_fresh(evutil_socket_t unused, short what, void *arg)
{
	struct pk_httpd *httpd = arg;

	(void)unused;
	(void)what;
	pk_loop_begin(httpd->loop);
	for (size_t i = 0; i < httpd->n_fresh; i++)
		let_in(httpd, httpd->fresh[i]);
	httpd->n_fresh = 0;
	pk_timer_hurry(httpd->look, PK_CLIENTS_LOOK_MS);
	pk_loop_end(httpd->loop);
}

/* Makes the bufferevent for a connection. evhttp sets its descriptor after this returns. */
static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
	struct pk_httpd *httpd = arg;
	struct bufferevent *bev;

	make_room(httpd);
	if (httpd->n_fresh == PK_CLIENTS_MAX)
		check_fresh(-1, 0, httpd);
	bev = bufferevent_socket_new(base, -1, 0);
	if (!bev)
		abort();
	httpd->fresh[httpd->n_fresh++] = bev;
	event_active(httpd->check, EV_TIMEOUT, 0);
	return bev;
}

static struct pk_httpd *serve_at(struct pk_loop *loop, int fd, size_t readers_max)
{
	struct pk_httpd *httpd = pk_alloc(sizeof(*httpd));
	struct evhttp_bound_socket *bound;

	httpd->loop = loop;
	httpd->clients.readers_max = readers_max;
	httpd->http = evhttp_new(pk_loop_base(loop));
	bound = httpd->http ? evhttp_accept_socket_with_handle(httpd->http, fd) : NULL;
	if (!bound)
		abort();
	httpd->listener = evhttp_bound_socket_get_listener(bound);
	httpd->full = pk_timer_new(loop, make_room, httpd);
	httpd->look = pk_timer_new(loop, look, httpd);
	httpd->check = event_new(pk_loop_base(loop), -1, 0, check_fresh, httpd);
	if (!httpd->check)
		abort();
	httpd->first_fd = lowest_free_fd(httpd);
	evhttp_set_bevcb(httpd->http, on_accept, httpd);
	evhttp_set_max_headers_size(httpd->http, HEAD_MAX);
	evhttp_set_max_body_size(httpd->http, BODY_MAX);
	evhttp_set_allowed_methods(httpd->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
							EVHTTP_REQ_DELETE | EVHTTP_REQ_HEAD);
	return httpd;
}

struct pk_httpd *pk_httpd_new(struct pk_loop *loop, const char *path, const char *group,
			      struct pk_err *err)
{
	int fd = listen_at(path, group, err);
	struct pk_httpd *httpd;

	if (fd < 0)
		return NULL;
	httpd = serve_at(loop, fd, READERS_MAX);
	strcpy(httpd->path, path);
	return httpd;
}

struct pk_httpd *pk_httpd_new_network(struct pk_loop *loop, const union pk_addr *addr,
				      uint16_t port, struct pk_err *err)
{
	int fd = listen_on(addr, port, err);
	struct pk_httpd *httpd;

	if (fd < 0)
		return NULL;
	httpd = serve_at(loop, fd, SCRAPES_MAX);
	httpd->network = true;
	return httpd;
}

void pk_httpd_serve(struct pk_httpd *httpd, pk_httpd_fn *fn, void *arg)
{
	httpd->fn = fn;
	httpd->arg = arg;
	evhttp_set_gencb(httpd->http, on_request, httpd);
}

void pk_httpd_free(struct pk_httpd *httpd)
{
	if (!httpd)
		return;
	pk_timer_free(httpd->full);
	pk_timer_free(httpd->look);
	event_free(httpd->check);
	evhttp_free(httpd->http); /* closes connections, which ends open exchanges */
	if (*httpd->path)
		unlink(httpd->path);
	free(httpd);
}
