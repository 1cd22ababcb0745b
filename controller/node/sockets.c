/* SPDX-License-Identifier: Apache-2.0 */
#include "sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "bpfsock.h"

#define RETRY_MS  1000 /* nothing is loaded yet */
#define MINUTE_MS 60000

struct pk_sockets {
	struct pk_sockets_args args;
	struct pk_timer *timer;
	char cgroup[PK_PATH_ROOM]; /* where they stand by this picketd's doing; "" = nowhere */
	uint64_t epoch[2];	   /* of the tables that they read */
	struct pk_err error;
};

static void note(struct pk_sockets *s, int r, const struct pk_err *err)
{
	if (r == 0) {
		s->error = (struct pk_err){ 0 };
		return;
	}
	if (strcmp(s->error.text, err->text) != 0)
		log_error("op=cgroup err=\"%s\" fix=\"%s\" the node's processes reach no published "
			  "port",
			  err->text, err->fix);
	s->error = *err;
}

static bool is_kept(const struct pk_sockets *s, const struct pk_bpf *bpf)
{
	return *s->cgroup && !strcmp(s->cgroup, s->args.config->settings.cgroup) &&
	       pk_bpf_same_epoch(bpf, s->epoch) && pk_sock_stands(bpf->paths);
}

static int attach(struct pk_sockets *s, const struct pk_bpf *bpf, struct pk_err *err)
{
	int r = pk_sock_attach(bpf, s->args.config->settings.cgroup, err);

	if (r < 0)
		return r;
	snprintf(s->cgroup, sizeof(s->cgroup), "%s", s->args.config->settings.cgroup);
	memcpy(s->epoch, bpf->node.epoch, sizeof(s->epoch));
	log_info("op=cgroup path=\"%s\"", s->cgroup);
	return 0;
}

static void follow(void *arg)
{
	struct pk_sockets *s = arg;
	const struct pk_bpf *bpf = pk_sync_bpf(s->args.sync);
	struct pk_err err = { 0 };
	int r = 0;

	pk_timer_set(s->timer, bpf ? MINUTE_MS : RETRY_MS);
	if (!bpf)
		return;
	if (!*s->args.config->settings.cgroup) {
		s->cgroup[0] = '\0';
		r = pk_sock_detach(bpf->paths, &err);
	} else if (!is_kept(s, bpf)) {
		r = attach(s, bpf, &err);
	}
	note(s, r, &err);
}

struct pk_sockets *pk_sockets_new(const struct pk_sockets_args *args)
{
	struct pk_sockets *s = pk_alloc(sizeof(*s));

	s->args = *args;
	s->timer = pk_timer_new(args->loop, follow, s);
	follow(s);
	return s;
}

void pk_sockets_free(struct pk_sockets *s)
{
	if (!s)
		return;
	pk_timer_free(s->timer);
	free(s);
}

void pk_sockets_soon(struct pk_sockets *s)
{
	pk_timer_hurry(s->timer, 0);
}

const struct pk_err *pk_sockets_error(const struct pk_sockets *s)
{
	return &s->error;
}
