/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* picketd's parts and how they are wired. */
#include "consul_told.h"
#include "handover.h"
#include "http.h"
#include "httpd.h"
#include "parts.h"
#include "resolv_watch.h"

struct pk_daemon {
	struct pk_parts parts; /* what the API reads too */
	struct pk_config_args args;
	struct pk_config config;
	struct pk_http *http;
	struct pk_httpd *httpd;
	struct pk_handover *handover;
	struct pk_journal *journal;
	struct pk_resolv_watch *resolv;
	struct pk_consul_told *told; /* NULL: nobody is */
	char node[128];
	int lock;
	struct pk_err config_error;
};

/* Everything is made and the first pass done. -errno: it can't run at all. */
int pk_daemon_start(struct pk_daemon *d, const struct pk_config_args *args, struct pk_err *err);
void pk_daemon_stop(struct pk_daemon *d);
/* SIGHUP: the whole configuration anew, or the old one with config_error set. */
/* Each source has answered once, or there is none. */
bool pk_daemon_is_ready(const struct pk_daemon *daemon);
int pk_daemon_reload(struct pk_daemon *d, struct pk_err *err);
/* As the configuration says: what is heard of other nodes, or nothing of them any more. */
void pk_daemon_join_cluster(struct pk_daemon *d);
/* For flow names and api: "host", "remote-node" or NULL. */
const char *pk_daemon_node_address(void *arg, const union pk_addr *addr);
