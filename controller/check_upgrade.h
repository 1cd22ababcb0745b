/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `picketd -check-upgrade`, before a release is installed. */
#include <stdbool.h>
#include <stdio.h>

#include "conf.h"

/* A line on each part to out; false: one of them stands in the way. Changes nothing. */
bool pk_check_upgrade(const struct pk_config *config, FILE *out);
