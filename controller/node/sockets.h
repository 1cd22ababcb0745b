/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Keeps the programs at the configured cgroup (lib/tables/bpfsock.h), also over new tables. */
#include "conf.h"
#include "loop.h"
#include "sync.h"

struct pk_sockets;

struct pk_sockets_args {
	struct pk_loop *loop;
	const struct pk_config *config; /* its contents may change */
	struct pk_sync *sync;
};

struct pk_sockets *pk_sockets_new(const struct pk_sockets_args *args);
void pk_sockets_free(struct pk_sockets *sockets);
/* Says that the configuration or the tables changed. */
void pk_sockets_soon(struct pk_sockets *sockets);
/* Returns what is wrong now, with its fix; "" = nothing. */
const struct pk_err *pk_sockets_error(const struct pk_sockets *sockets);
