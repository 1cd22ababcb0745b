/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * YAML, as kubectl prints it, becomes JSON text. libyaml appears in yaml_json.c alone, and the CLI
 * alone links it: what a node lives by is JSON. A plain word that one reader takes for a string
 * and another for a bool or a number (no, 0777, 22:22) is refused, and so are aliases, merge keys
 * and tags but !!str.
 */
#include "doc.h"
#include "json.h"
#include "str.h"

struct pk_yaml_token {
	int json_col; /* of a token in the JSON text, whose only line is the first */
	int line, col, width;
};

struct pk_yaml {
	struct pk_str json; /* the document; of several, an array */
	struct pk_yaml_token *tokens;
	size_t n_tokens, room;
};
void pk_yaml_done(struct pk_yaml *yaml);
#define own_yaml PK_OWN(pk_yaml_done) struct pk_yaml

/* -EINVAL: the fault says where it isn't such YAML. */
int pk_yaml_read(const char *text, size_t len, struct pk_yaml *yaml, struct pk_json_fault *fault);
/* Notes on the JSON text become notes on the YAML text. */
void pk_yaml_restore(const struct pk_yaml *yaml, const char *text, struct pk_doc_notes *notes);
/* Tells YAML by the path's suffix, else by the text: JSON begins with a bracket or a comment. */
bool pk_yaml_is(const char *path, const char *text);
