/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Consul's KV as a store (store.h). */
#include "store.h"

/* Writes why Consul gave no session and how to mend it. Returns false where it gave one. */
bool pk_consul_no_session(const struct pk_http_reply *reply, char *why, size_t room);
