/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A document's source: the store that it comes from (its origin) and, where one store serves
 * several writers, whose it is there. Documents of one origin are never judged by what another
 * origin says.
 */
#include <string.h>

#define PK_ORIGIN_FILE	   "file"
#define PK_ORIGIN_CONSUL   "consul"
#define PK_SOURCE_FILE	   PK_ORIGIN_FILE
#define PK_SOURCE_OPERATOR PK_ORIGIN_CONSUL "/operator"
#define PK_SOURCE_TENANTS  PK_ORIGIN_CONSUL "/tenant"
#define PK_SOURCE_TENANT   PK_SOURCE_TENANTS "/" /* and the namespace */

/* Returns whether source is `of` or below it: "consul" has "consul/operator", "" has all. */
static inline int pk_source_in(const char *source, const char *of)
{
	size_t n = strlen(of);

	return !n || (strncmp(source, of, n) == 0 && (!source[n] || source[n] == '/'));
}

/*
 * Returns the namespace of a tenant's source, whatever its origin, with or without it; NULL: no
 * tenant's.
 */
static inline const char *pk_source_namespace(const char *source)
{
	const char *slash = strchr(source, '/');

	if (slash && strncmp(slash, "/tenant/", 8) == 0)
		return slash + 8;
	return strncmp(source, "tenant/", 7) == 0 ? source + 7 : NULL;
}
