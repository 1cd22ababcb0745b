/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A record's content: pure. `closed` is the file's name's, not the content's. */
#include "epstore.h"
#include "str.h"

void pk_record_encode(const struct pk_record *record, struct pk_str *out);
/*
 * Every key once, none unknown, none missing but those that may be null. record is untouched on
 * failure.
 */
int pk_record_decode(const char *name, const char *text, size_t len, struct pk_record *record,
		     struct pk_err *err);
