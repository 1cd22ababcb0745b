/* SPDX-License-Identifier: Apache-2.0 */
/* Writes and reads the keys in which nodes speak of their endpoints. */
#include <stdlib.h>
#include <string.h>

#include "share.h"

#define TENANTS "tenants/"

/* Adds the part's number; the first part's key has none. */
static void add_part(struct pk_str *out, size_t part)
{
	if (part)
		pk_str_addf(out, "/%zu", part);
}

void pk_share_key_write(const char *tenant_name, const char *node, size_t part, struct pk_str *out)
{
	pk_str_addf(out, TENANTS "%s/%s", tenant_name, node);
	add_part(out, part);
}

void pk_share_key_of_part(const char *key, size_t part, struct pk_str *out)
{
	pk_str_addn(out, key, pk_share_key_len(key) ?: strlen(key));
	add_part(out, part);
}

bool pk_share_key_read(const char *key, struct pk_share_key *out)
{
	const char *part;
	int64_t n;

	if (strncmp(key, TENANTS, strlen(TENANTS)) != 0)
		return false;
	out->tenant_name = key + strlen(TENANTS);
	out->tenant_len = strcspn(out->tenant_name, "/");
	if (!out->tenant_len || !out->tenant_name[out->tenant_len])
		return false;
	out->node = out->tenant_name + out->tenant_len + 1;
	out->node_len = strcspn(out->node, "/");
	part = out->node + out->node_len;
	if (!out->node_len || !*part)
		return out->node_len > 0;
	n = strtol(part + 1, NULL, 10);
	/* Only one way of writing a number is a key. */
	return n > 0 && n < PK_SHARE_PARTS && part[1] != '0' &&
	       strspn(part + 1, "0123456789") == strlen(part + 1);
}

bool pk_share_key_is_of(const char *key, const char *node)
{
	struct pk_share_key k;

	return pk_share_key_read(key, &k) && k.node_len == strlen(node) &&
	       strncmp(k.node, node, k.node_len) == 0;
}

size_t pk_share_key_len(const char *key)
{
	struct pk_share_key k;

	return pk_share_key_read(key, &k) ? (size_t)(k.node + k.node_len - key) : 0;
}

bool pk_word_is_of(const char *key, const char *node)
{
	const char *last = strrchr(key, '/');

	if (pk_share_key_len(key))
		return pk_share_key_is_of(key, node);
	return last && strcmp(last + 1, node) == 0;
}
