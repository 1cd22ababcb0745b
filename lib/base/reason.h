/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Names and help of enum pk_reason. */
#include <stdbool.h>

#include "picket/reason.h"

const char *pk_reason_name(unsigned int reason); /* "unknown" beyond the list */
const char *pk_reason_help(unsigned int reason);
bool pk_reason_built(unsigned int reason);
int pk_reason_parse(const char *name); /* -ENOENT */
