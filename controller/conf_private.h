/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Every key of picketd.json, once: read by conf.c, written by conf_write.c. */
#include "conf.h"

enum conf_kind { TEXT, PATH, ADDRESS, KEY_PATH, BOOL, INT, SETTING, SIZE, CHOICE, NOT_BUILT };

typedef int conf_get_fn(struct pk_settings *s, const struct pk_json_doc *doc,
			const struct pk_json *object, struct pk_err *err);

struct conf_key {
	const char *section, *name;
	enum conf_kind kind;
	size_t offset, room;
	bool null_ok;	  /* null = the default's "none" */
	conf_get_fn *get; /* SETTING: reads from the section that holds the key */
	const char *const *choices;
};

extern const struct conf_key conf_keys[];
extern const char *const conf_sections[];
extern const size_t conf_n_keys, conf_n_sections;
#define CONF_SECTIONS_MAX 16
