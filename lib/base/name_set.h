/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A set of names. NULL has none. */
#include <stdbool.h>

struct pk_name_set;

bool pk_name_set_has(struct pk_name_set *set, const char *name);
/* Adds a copy of the name, unless the set has it. */
void pk_name_set_add(struct pk_name_set **set, const char *name);
void pk_name_set_free(struct pk_name_set *set);
