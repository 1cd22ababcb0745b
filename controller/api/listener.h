/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The listener on the network, where the configuration has one. An address that can't be had now
 * (its device isn't up, another process has the port) is a reason in status and tried again.
 */
#include "conf.h"
#include "httpd.h"

struct pk_listener;

/* NULL: the configuration has none. */
struct pk_listener *pk_listener_new(struct pk_loop *loop, const struct pk_config *config,
				    pk_httpd_fn *fn, void *arg);
void pk_listener_free(struct pk_listener *listener);
/* Returns why it doesn't listen; "" where it does. */
const struct pk_err *pk_listener_error(const struct pk_listener *listener);
