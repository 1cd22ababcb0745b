/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The variables that a CNI runtime sets (CNI spec 1.1.0, "Parameters"), checked for their verb. */
#include "cni_conf.h"
#include "err.h"

struct cni_env {
	enum cni_verb verb;
	const char *container_id; /* "" where the verb has none, here and below */
	const char *netns;
	const char *ifname;
	const char *args;
	/* From the command line, where `picket attach` runs the plugin; else NULL. */
	const char *declared;
};

/*
 * get is getenv, or a test's function. The strings stay the environment's. Errors carry
 * PK_CODE_ENV and name the variable.
 */
int cni_env_read(const char *(*get)(const char *name), struct cni_env *env, struct pk_err *err);
