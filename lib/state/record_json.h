/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A record's content as JSON text. Pure. Whether a record is closed is said by its file's name, not
 * by its content.
 */
#include "epstore.h"
#include "str.h"

void pk_record_encode(const struct pk_record *record, struct pk_str *out);
/*
 * Every key once, none unknown, none missing but those that may be null. record is untouched on
 * failure.
 */
int pk_record_decode(const char *name, const char *text, size_t len, struct pk_record *record,
		     struct pk_err *err);
