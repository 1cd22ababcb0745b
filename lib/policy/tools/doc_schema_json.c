/* SPDX-License-Identifier: Apache-2.0 */
/* doc_schema.c's table as a JSON Schema: what may stand around the document is said by hand. */
#include "doc_schema_json.h"

#include "doc_schema.h"

/* A rule without a document around it is of the tenant tier. */
#define BARE_RULE "{\"allOf\":[{\"$ref\":\"#/$defs/rule\"}," PK_SCHEMA_NO_PASS "]}"

void pk_doc_schema_json(struct pk_str *out)
{
	struct pk_jw w = { .out = out, .indent = 2 };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
	pk_jw_string(&w, "title", "Picket policy document");
	pk_jw_string(&w, "description",
		     "A document, an array of rules, or one rule (docs/policy.md). Comments are "
		     "allowed in the file.");
	pk_schema_print_raw(&w, "if", "{\"type\":\"array\"}");
	pk_schema_print_raw(&w, "then", "{\"type\":\"array\",\"items\":" BARE_RULE "}");
	pk_schema_print_raw(&w, "else",
			    "{\"if\":{\"anyOf\":[{\"required\":[\"rules\"]},"
			    "{\"not\":{\"required\":[\"endpointSelector\"]}}]},"
			    "\"then\":{\"$ref\":\"#/$defs/document\"},\"else\":" BARE_RULE "}");
	pk_schema_print_defs(&w, &pk_schema_document);
	pk_jw_close(&w, '}');
	pk_str_add(out, "\n");
}
