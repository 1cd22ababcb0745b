/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The connections of one listener: how many there may be, and which of them are idle. Idle is one
 * that keeps picketd waiting; a client that waits for picketd is not, however long that takes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bufferevent;

#define PK_CLIENTS_MAX	   64 /* few: descriptors are needed for the rest of the work, too */
#define PK_CLIENTS_IDLE_MS 10000
#define PK_CLIENTS_LOOK_MS 1000 /* between two looks for idle ones */

struct pk_client {
	struct bufferevent *bev;
	int fd;
	ino_t inode; /* nobody tells when one goes, so its descriptor is looked at */
	bool root;
	bool waits; /* its question is whole, and picketd hasn't answered yet */
	uint64_t idle_ms;
	size_t unsent; /* bytes of its answer, at the last look */
};

struct pk_clients {
	struct pk_client list[PK_CLIENTS_MAX];
	size_t n, readers_max;
	uint64_t looked_ms;
};

/* Lets a new connection in. Returns false where there is no room for it. */
bool pk_clients_add(struct pk_clients *clients, struct bufferevent *bev, bool root);
/* Says that the client has asked, or that it is answered. */
void pk_clients_wait(struct pk_clients *clients, const struct bufferevent *bev, bool waits);
/*
 * Ends the idle ones. A second at most is counted for each look: after a long turn of the loop
 * there may be much to read that nobody had the time to.
 */
void pk_clients_look(struct pk_clients *clients, uint64_t now_ms);
