/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <string.h>

#include "json.h"
#include "own.h"

#define ELLIPSIS "\xe2\x80\xa6"

/* Returns how much of text fits into max, cut at a blank if one is near, never in a character. */
static size_t cut(const char *text, size_t max)
{
	size_t n = max, blank;

	if (strlen(text) <= max)
		return strlen(text);
	while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	for (blank = n; blank > n / 2; blank--)
		if (text[blank] == ' ')
			return blank;
	return n;
}

/* Writes the first part of text as msg and returns the rest. */
static const char *take_msg(const char *text, struct pk_str *msg)
{
	size_t n = cut(text, CNI_MSG_MAX);

	if (!text[n]) {
		pk_str_add(msg, text);
		return "";
	}
	n = cut(text, CNI_MSG_MAX - strlen(ELLIPSIS));
	pk_str_addn(msg, text, n);
	pk_str_add(msg, ELLIPSIS);
	return text + n + (text[n] == ' ');
}

static void add_details(const char *rest, const char *fix, struct pk_str *details)
{
	size_t room = CNI_DETAILS_MAX, used = *fix ? strlen("; fix: ") + strlen(fix) : 0;
	size_t n;

	if (*rest) {
		room = used + 2 * strlen(ELLIPSIS) < room ? room - used : room;
		pk_str_add(details, ELLIPSIS);
		n = cut(rest, room - 2 * strlen(ELLIPSIS));
		pk_str_addn(details, rest, n);
		if (rest[n])
			pk_str_add(details, ELLIPSIS);
	}
	if (!*fix || details->len + 20 > CNI_DETAILS_MAX)
		return;
	pk_str_addf(details, "%sfix: ", *rest ? "; " : "");
	n = cut(fix, CNI_DETAILS_MAX - details->len);
	pk_str_addn(details, fix, n);
}

static const char *safe(struct pk_str *s, const char *text)
{
	pk_str_add(s, "");
	pk_str_add_escaped(s, text);
	return s->text ? s->text : "";
}

int cni_report_code(const struct pk_err *err)
{
	return err->code ? err->code : PK_CODE_KERNEL;
}

void cni_report(enum cni_version version, const struct pk_err *err, struct pk_str *out)
{
	own_str text = { 0 };
	own_str fix = { 0 };
	own_str msg = { 0 };
	own_str details = { 0 };
	struct pk_jw w = { .out = out };
	const char *rest;

	rest = take_msg(safe(&text, err->text[0] ? err->text : "internal error"), &msg);
	add_details(rest, safe(&fix, err->fix), &details);
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "cniVersion", cni_version_name(version));
	pk_jw_int(&w, "code", cni_report_code(err));
	pk_jw_string(&w, "msg", msg.text ? msg.text : "");
	if (details.len)
		pk_jw_string(&w, "details", details.text);
	pk_jw_close(&w, '}');
	pk_str_add(out, "\n");
}

void cni_report_versions(struct pk_str *out)
{
	struct pk_jw w = { .out = out };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "cniVersion", cni_version_name(CNI_1_1_0));
	pk_jw_open(&w, "supportedVersions", '[');
	for (unsigned int v = CNI_0_3_1; v <= CNI_1_1_0; v++)
		pk_jw_string(&w, NULL, cni_version_name(v));
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	pk_str_add(out, "\n");
}
