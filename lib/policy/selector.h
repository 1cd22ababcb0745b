/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A selector's requirements against a label set, three-valued. Scoping is the caller's (judge.c,
 * compile.c).
 */
#include "ast.h"
#include "label.h"

enum pk_tri pk_requirement_match(const struct pk_requirement *req, const struct pk_label_set *set);
/* All requirements. An entity selector (reserved:X) is the caller's matter too: PK_NO here. */
enum pk_tri pk_selector_match(const struct pk_selector *sel, const struct pk_label_set *set);
/* Returns whether it names namespaces, by matchLabels or In on nomad:namespace. */
bool pk_selector_names_namespace(const struct pk_selector *sel);
/* Returns whether it has any expression on nomad:namespace. */
bool pk_selector_reads_namespace(const struct pk_selector *sel);
/*
 * Cilium's matchPattern ('*' any number of characters but '.', '**.' prefixes any depth; "*" alone
 * everything) and matchName.
 */
bool pk_fqdn_match(const struct pk_fqdn *fqdn, const char *name);
