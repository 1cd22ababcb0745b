/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by daemon.c and all files whose names begin with daemon_. */
#include "daemon.h"

/*
 * The sources that a reload touches. The others go on, with what is known of them. With the store
 * goes all that borrows it: documents and cluster are touched, too.
 */
struct daemon_touched {
	bool files, nomad, store, documents, cluster, flows, http;
};
extern const struct daemon_touched daemon_all_sources;

struct daemon_touched daemon_touched_by(const struct pk_config *a, const struct pk_config *b);
/* Starts those sources as the configuration says now. */
void daemon_start_sources(struct pk_daemon *d, const struct daemon_touched *which);
void daemon_stop_sources(struct pk_daemon *d, const struct daemon_touched *which);
/* Lets go what is held, as the operator says; see parts.h. */
bool daemon_release(void *arg, const char *what, pk_release_fn *fn, void *fn_arg);

/* Takes over what Nomad said of this node before picketd was started. */
void daemon_remember_node(struct pk_daemon *d);
/* Has the names of the configuration's files kept for the next start. */
void daemon_remember_files(struct pk_daemon *d);
/* Logs what the configuration lacks or contradicts. */
void daemon_warn_of_config(const struct pk_config *config);
/* Puts the claimed blocks, and until when they count, into settings that were read anew. */
void daemon_keep_blocks(struct pk_daemon *d, const struct pk_settings *before);
/* -EINVAL: the configuration gives up blocks in which endpoints live. */
int daemon_check_blocks(const struct pk_daemon *d, const struct pk_config *config,
			struct pk_err *err);
/* Joins the cluster, or stays alone, as the configuration says now; ends either. */
void daemon_join_cluster(struct pk_daemon *d);
void daemon_leave_cluster(struct pk_daemon *d);
