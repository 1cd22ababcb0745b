/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* picketd's parts and how they are wired. */
#include "consul_told.h"
#include "handover.h"
#include "http.h"
#include "httpd.h"
#include "parts.h"
#include "publish.h"
#include "report.h"
#include "resolv_watch.h"

struct pk_daemon {
	struct pk_parts parts; /* what the API reads too */
	struct pk_config_args args;
	struct pk_config config;
	struct pk_http *http;
	struct pk_store *store; /* NULL: there is none */
	struct pk_httpd *httpd;
	struct pk_handover *handover;
	struct pk_journal *journal;
	struct pk_resolv_watch *resolv;
	struct pk_leader *nomad_leader, *consul_leader;	   /* NULL: the service isn't asked */
	struct pk_token_watch *nomad_token, *consul_token; /* NULL: or it is without a token */
	bool nomad_anew, consul_anew; /* all is to be asked anew, once the service has a leader */
	struct pk_publish *alone;    /* what publishes the report of a node that is in no cluster */
	struct pk_report *report;    /* NULL: nobody is told which documents are enforced */
	struct pk_consul_told *told; /* NULL: Consul gets no word of what became of documents */
	char node[128];
	char nomad_id[40]; /* this node's, as Nomad said last; "": it hasn't yet */
	int lock;
	struct pk_err config_error;
};

/* Makes all parts and the first pass. -errno: picketd can't run at all. */
int pk_daemon_start(struct pk_daemon *d, const struct pk_config_args *args, struct pk_err *err);
void pk_daemon_stop(struct pk_daemon *d);
/* Returns whether each source has answered once, or there is none. */
bool pk_daemon_is_ready(const struct pk_daemon *daemon);
/* Takes the whole configuration anew (SIGHUP), or keeps the old one and sets config_error. */
int pk_daemon_reload(struct pk_daemon *d, struct pk_err *err);
