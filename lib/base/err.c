/* SPDX-License-Identifier: Apache-2.0 */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int pk_fail(struct pk_err *err, int num, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!err)
		return num > 0 ? -num : -EINVAL;
	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	if (num > 0 && n >= 0 && (size_t)n < sizeof(err->text))
		snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", strerror(num));
	err->code = PK_CODE_NONE;
	err->fix[0] = '\0';
	return num > 0 ? -num : -EINVAL;
}

int pk_wrap(struct pk_err *err, int ret, const char *fmt, ...)
{
	char old[sizeof(err->text)];
	va_list ap;
	int n;

	if (!err)
		return ret;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(err->text))
		snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", old);
	return ret;
}

int pk_code(struct pk_err *err, int ret, enum pk_code code)
{
	if (err && err->code == PK_CODE_NONE)
		err->code = code;
	return ret;
}

int pk_fix(struct pk_err *err, int ret, const char *fmt, ...)
{
	va_list ap;

	if (!err || err->fix[0])
		return ret;
	va_start(ap, fmt);
	vsnprintf(err->fix, sizeof(err->fix), fmt, ap);
	va_end(ap);
	return ret;
}
