/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Every key of picketd.json, once: read by conf*.c, written by conf_write.c. */
#include "conf.h"

enum conf_kind {
	TEXT,
	PATH,
	ADDRESS,
	KEY_PATH,
	LISTEN,
	BOOL,
	INT,
	SETTING,
	TIMEOUT,
	SIZE,
	CHOICE,
	NOT_BUILT
};

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

/* What is read: the file and the place within. */
struct conf_place {
	const struct pk_json_doc *doc;
	const struct pk_json *section;
	const struct pk_json *value;
	struct pk_err *err;
};

/* Where the key stands in the table; it must be there. */
size_t conf_key_at(const char *section, const char *name);
/* One address, or a list of them, as agents are asked. */
int conf_put_addresses(char to[PK_CONFIG_ADDRESSES][PK_CONFIG_NAME], const struct conf_place *at);
/* http, https or unix, without a password, which would be shown with it; slashes at its end go. */
int conf_put_address(char to[PK_CONFIG_NAME], const char *text);
/* What files leave unsaid is taken from the variables that Nomad's and Consul's own tools read. */
int conf_environment(struct pk_config *c, const struct pk_config_args *args, struct pk_err *err);
/* -EINVAL where what was said of a service contradicts itself. */
int conf_check_services(const struct pk_config *c, struct pk_err *err);
