/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A configuration read from a text, for the tests of controller/conf*.c. */
#include <string.h>

#include "controller/conf.h"

static inline int parse(struct pk_config *c, const char *text, struct pk_err *err)
{
	return pk_config_parse(c, "test.json", text, strlen(text), err);
}
