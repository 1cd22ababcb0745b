/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A document's source: the store that it comes from (its origin) and, where one store serves
 * several writers, whose it is there. Documents of one origin are never judged by what another
 * origin says.
 */
#include <string.h>

#define PK_ORIGIN_FILE	 "file"
#define PK_ORIGIN_CONSUL "consul"
#define PK_ORIGIN_NOMAD	 "nomad" /* its Variables */
#define PK_SOURCE_FILE	 PK_ORIGIN_FILE
/* Behind the origin of a store. */
#define PK_SOURCE_OPERATOR "/operator"
#define PK_SOURCE_TENANT   "/tenant/" /* and the namespace */

/* Returns whether source is `of` or below it: "consul" has "consul/operator", "" has all. */
static inline int pk_source_in(const char *source, const char *of)
{
	size_t n = strlen(of);

	return !n || (strncmp(source, of, n) == 0 && (!source[n] || source[n] == '/'));
}

/* Returns whether the source is one of a store that nodes share. */
static inline int pk_source_is_shared(const char *source)
{
	return pk_source_in(source, PK_ORIGIN_CONSUL) || pk_source_in(source, PK_ORIGIN_NOMAD);
}

/* Returns whether it is an operator's source in a shared store. */
static inline int pk_source_is_operators(const char *source)
{
	const char *slash = strchr(source, '/');

	return pk_source_is_shared(source) && slash && strcmp(slash, PK_SOURCE_OPERATOR) == 0;
}

/*
 * Returns the namespace of a tenant's source, written with its origin ("consul/tenant/acme") or
 * without it; NULL: it is no tenant's source.
 */
static inline const char *pk_source_namespace(const char *source)
{
	const char *slash = strchr(source, '/');

	if (slash && strncmp(slash, PK_SOURCE_TENANT, 8) == 0)
		return slash + 8;
	return strncmp(source, "tenant/", 7) == 0 ? source + 7 : NULL;
}
