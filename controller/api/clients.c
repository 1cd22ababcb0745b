/* SPDX-License-Identifier: Apache-2.0 */
#include "clients.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <sys/socket.h>
#include <sys/stat.h>

static bool is_open(const struct pk_client *c)
{
	struct stat st;

	return fstat(c->fd, &st) == 0 && st.st_ino == c->inode;
}

/* Drops those that went, and counts the readers, without root. */
static size_t count_readers(struct pk_clients *clients)
{
	size_t n = 0, readers = 0;

	for (size_t i = 0; i < clients->n; i++)
		if (is_open(&clients->list[i])) {
			readers += !clients->list[i].root;
			clients->list[n++] = clients->list[i];
		}
	clients->n = n;
	return readers;
}

bool pk_clients_add(struct pk_clients *clients, struct bufferevent *bev, bool root)
{
	struct pk_client c = { .bev = bev, .fd = bufferevent_getfd(bev), .root = root };
	size_t readers = count_readers(clients);
	struct stat st;

	if (fstat(c.fd, &st) < 0)
		return true;
	c.inode = st.st_ino;
	if ((!root && readers >= clients->readers_max) || clients->n == PK_CLIENTS_MAX)
		return false;
	clients->list[clients->n++] = c;
	return true;
}

void pk_clients_wait(struct pk_clients *clients, const struct bufferevent *bev, bool waits)
{
	for (size_t i = 0; i < clients->n; i++) {
		struct pk_client *c = &clients->list[i];

		if (c->bev != bev || !is_open(c))
			continue;
		c->waits = waits;
		c->idle_ms = 0;
	}
}

static void look_at(struct pk_client *c, uint64_t passed_ms)
{
	size_t unsent = evbuffer_get_length(bufferevent_get_output(c->bev));

	c->idle_ms = c->waits || unsent != c->unsent ? 0 : c->idle_ms + passed_ms;
	c->unsent = unsent;
	if (c->idle_ms >= PK_CLIENTS_IDLE_MS)
		shutdown(c->fd, SHUT_RDWR); /* evhttp sees that, and frees the connection */
}

void pk_clients_look(struct pk_clients *clients, uint64_t now_ms)
{
	uint64_t passed = now_ms - clients->looked_ms;

	if (passed > PK_CLIENTS_LOOK_MS)
		passed = PK_CLIENTS_LOOK_MS;
	clients->looked_ms = now_ms;
	count_readers(clients);
	for (size_t i = 0; i < clients->n; i++)
		look_at(&clients->list[i], passed);
}
