/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The form of a policy document as a JSON Schema (2020-12), for editors. */
#include "str.h"

void pk_doc_schema_json(struct pk_str *out);
