/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tells when resolv.conf may have changed: both its files are looked at every few seconds. */
#include "loop.h"
#include "paths.h"

struct pk_resolv_watch;

struct pk_resolv_watch *pk_resolv_watch_new(struct pk_loop *loop, const struct pk_paths *paths,
					    pk_loop_fn *changed, void *arg);
void pk_resolv_watch_free(struct pk_resolv_watch *watch);
