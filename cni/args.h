/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads CNI_ARGS: Nomad's words about an allocation, mixed with what the job's author added
 * (docs/cni.md, "Who an endpoint is"). Pure: bytes in, struct out. Nothing is believed beyond what
 * these rules say.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "cni_conf.h"
#include "err.h"

#define CNI_ARGS_MAX  65536 /* bytes of the whole string */
#define CNI_ARGS_KEYS 512
#define CNI_WORD_MAX  1024 /* a job's or group's name */

struct cni_args {
	char *text;		 /* owned; the words below point into it */
	const char *region;	 /* NULL = absent, here and below */
	const char *tenant_name; /* NULL = quarantine */
	const char *job, *group; /* claims of the author until Nomad confirms them */
	const char *alloc;
	const char *limits; /* picket.limits, JSON */
	bool has_mac, has_ip;
	uint8_t mac[6];		  /* picket.mac: unicast */
	union pk_addr ip;	  /* picket.ip */
	const char *tap_name;	  /* TC_REDIRECT_TAP_NAME */
	int64_t tap_uid, tap_gid; /* -1 = not named */
};

/* allowed: bits of enum cni_job_arg. Errors carry PK_CODE_ARGS. args is valid only on success. */
int cni_args_parse(const char *text, const char *container_id, unsigned int allowed,
		   struct cni_args *args, struct pk_err *err);
void cni_args_done(struct cni_args *args);

#define CNI_TAP_NAME "tap0"
/* TC_REDIRECT_TAP_NAME, else CNI_TAP_NAME. */
const char *cni_tap_name(const struct cni_args *args);
