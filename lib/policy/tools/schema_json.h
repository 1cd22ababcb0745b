/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The form of a policy document (schema.h) as a JSON Schema file (2020-12). */
#include "str.h"

void pk_schema_json(struct pk_str *out);
