/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The table of picketd.json, and what conf*.c share. */
#include "conf.h"
#include "settings_forms.h"

extern const struct pk_schema conf_form;	   /* of the file; into a struct pk_config */
extern const struct pk_schema conf_form_addresses; /* one address, or a list of them */

/* A key whose value is kept. Zeroed before the first conf_next. */
struct conf_spot {
	size_t i;				 /* of its origin */
	const char *section;			 /* "" = the top */
	struct pk_schema_key key;		 /* at: from the struct pk_config */
	const struct pk_schema_key *top, *inner; /* conf_next's own */
};
bool conf_next(struct conf_spot *spot); /* in the table's order; false: no more */
/* Finds the key, which must be there. */
struct conf_spot conf_find(const char *section, const char *name);
/* Returns the keys of the section behind a key of the top, NULL where it is no section. */
const struct pk_schema *conf_section(const struct pk_schema_key *top);

/* Takes what files leave unsaid from the variables that Nomad's and Consul's own tools read. */
int conf_environment(struct pk_config *c, const struct pk_config_args *args, struct pk_err *err);
/* Returns -EINVAL where a service's settings contradict each other. */
int conf_check_services(const struct pk_config *c, struct pk_err *err);
