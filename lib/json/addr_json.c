// SPDX-License-Identifier: Apache-2.0
#include "addr_json.h"

void pk_addrs_write(struct pk_jw *w, const char *key, const union pk_addr *list, size_t n)
{
	char text[PK_ADDR_TEXT];

	pk_jw_open(w, key, '[');
	for (size_t i = 0; i < n; i++)
		pk_jw_string(w, NULL, pk_addr_format(&list[i], text));
	pk_jw_close(w, ']');
}

void pk_prefixes_add(struct pk_jw *w, const struct pk_prefix *list, size_t n)
{
	char text[PK_ADDR_TEXT];

	for (size_t i = 0; i < n; i++)
		pk_jw_string(w, NULL, pk_prefix_format(&list[i], text));
}

void pk_prefixes_write(struct pk_jw *w, const char *key, const struct pk_prefix *list, size_t n)
{
	pk_jw_open(w, key, '[');
	pk_prefixes_add(w, list, n);
	pk_jw_close(w, ']');
}
