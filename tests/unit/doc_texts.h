/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Texts of policy documents for the reader's tests. */
#include <string.h>

#include "doc.h"

/* A document around one rule's, one selector's or one entry's text. */
#define RULE(s)	    "{\"endpointSelector\":{}," s "}"
#define OPERATOR(s) "{\"tier\":\"operator\",\"rules\":[" RULE(s) "]}"
#define TENANT(s)   "{\"namespace\":\"acme\",\"rules\":[" RULE(s) "]}"
#define EGRESS(s)   TENANT("\"egress\":[" s "]")
#define INGRESS(s)  TENANT("\"ingress\":[" s "]")
#define PORT(s)	    EGRESS("{\"toPorts\":[{\"ports\":[" s "]}]}")
#define ICMP(s)	    EGRESS("{\"icmps\":[{\"fields\":[" s "]}]}")
#define SUBJECT(s)                                                                                 \
	"{\"namespace\":\"acme\",\"rules\":[{\"endpointSelector\":" s ",\"egress\":[{}]}]}"
#define PEER(s)		 EGRESS("{\"toEndpoints\":[" s "]}")
#define OPERATOR_PEER(s) RULE("\"egress\":[{\"toEndpoints\":[" s "]}]")

static inline int parse(const char *text, const struct pk_doc_source *src, struct pk_document **doc,
			struct pk_doc_notes *notes)
{
	static const struct pk_doc_source plain = { .source = "file", .path = "d/web.json" };

	return pk_document_parse(src ? src : &plain, text, strlen(text), doc, notes);
}
