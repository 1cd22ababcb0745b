/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `picketd -check-upgrade`, which is run before a release is installed. */
#include <stdbool.h>
#include <stdio.h>

#include "conf.h"

/* Writes a line on each part to out; returns false where one stands in the way. Changes nothing. */
bool pk_check_upgrade(const struct pk_config *config, FILE *out);
