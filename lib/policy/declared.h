/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What `picket attach` says of an endpoint that no Nomad starts: its name, and a label set that is
 * the operator's own word. The CLI writes it, the plugin reads it from its command line, where
 * neither a CNI runtime nor a job's author can put anything, and the endpoint's record keeps it.
 */
#include "err.h"
#include "label.h"

#define CNI_DECLARED "--declared" /* the plugin's argument before the label set's text */

/* The name is its container id, and none of the form that Nomad's allocations have. */
int pk_declared_name(const char *name, struct pk_err *err);
/* Returns whether an operator may give an endpoint this (canonical) label. */
bool pk_declared_key(const char *key);
/*
 * The canonical text of a label set -> the set, which the caller frees: nomad:namespace, nomad:job,
 * nomad:group and meta: alone, each once, nothing unknown; or {reserved:init}, for quarantine.
 */
int pk_declared_parse(const char *text, struct pk_label_set **out, struct pk_err *err);
