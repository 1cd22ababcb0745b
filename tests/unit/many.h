/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Long lists for JSON texts. */
#include <stdio.h>

#include "str.h"

/* n members or elements like `one`, which has the number in it; the caller frees. */
__attribute__((format(printf, 2, 0))) static inline char *many(unsigned int n, const char *one)
{
	struct pk_str s = { 0 };

	for (unsigned int i = 0; i < n; i++) {
		char text[200];

		snprintf(text, sizeof(text), one, i);
		pk_str_addf(&s, "%s%s", i ? "," : "", text);
	}
	return pk_str_take(&s);
}
