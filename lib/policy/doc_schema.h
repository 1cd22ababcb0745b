/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The form of a policy document as one table: doc.c reads by it, and editors get it as a schema. */
#include "schema.h"

/* JSON Schema of a rule without pass: what any tier but the operator's may have. */
#define PK_SCHEMA_NO_PASS_(dir)                                                                    \
	"\"" dir "\":{\"items\":{\"properties\":{\"pass\":{\"const\":false}}}}"
#define PK_SCHEMA_NO_PASS                                                                          \
	"{\"properties\":{" PK_SCHEMA_NO_PASS_("ingress") "," PK_SCHEMA_NO_PASS_("egress") "}}"

extern const struct pk_schema pk_schema_rule, pk_schema_rules, pk_schema_document;
