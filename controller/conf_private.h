/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* picketd.json's table, and what its parts share (conf*.c). */
#include "conf.h"
#include "settings_forms.h"

extern const struct pk_schema conf_form;	   /* of the file; into a struct pk_config */
extern const struct pk_schema conf_form_addresses; /* one address, or a list of them */

/* A key that is kept. Zeroed before the first conf_next. */
struct conf_spot {
	size_t i;				 /* of its origin */
	const char *section;			 /* "" = the top */
	struct pk_schema_key key;		 /* at: from the struct pk_config */
	const struct pk_schema_key *top, *inner; /* conf_next's own */
};
bool conf_next(struct conf_spot *spot); /* in the table's order; false: no more */
/* The key, which must be there. */
struct conf_spot conf_find(const char *section, const char *name);
/* The keys of a section behind one of the top, NULL where it is none. */
const struct pk_schema *conf_section(const struct pk_schema_key *top);

/* http, https or unix, without a password, which would be shown with it; slashes at its end go. */
int conf_put_address(char to[PK_CONFIG_NAME], const char *text);
/* What files leave unsaid is taken from the variables that Nomad's and Consul's own tools read. */
int conf_environment(struct pk_config *c, const struct pk_config_args *args, struct pk_err *err);
/* -EINVAL where what was said of a service contradicts itself. */
int conf_check_services(const struct pk_config *c, struct pk_err *err);
