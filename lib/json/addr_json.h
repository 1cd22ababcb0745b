/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writes lists of addresses and prefixes as arrays of JSON strings. */
#include <stddef.h>

#include "addr.h"
#include "json.h"

void pk_addrs_write(struct pk_jw *w, const char *key, const union pk_addr *list, size_t n);
void pk_prefixes_write(struct pk_jw *w, const char *key, const struct pk_prefix *list, size_t n);
/* Adds the prefixes to the array that is open. */
void pk_prefixes_add(struct pk_jw *w, const struct pk_prefix *list, size_t n);
