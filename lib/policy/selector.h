/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Matches a selector's requirements against a label set, three-valued. Which namespaces it may mean
 * is the caller's matter (judge.c, match.c).
 */
#include "ast.h"
#include "label.h"

enum pk_tri pk_requirement_match(const struct pk_requirement *req, const struct pk_label_set *set);
/* Matches all requirements. An entity selector (reserved:X) is the caller's matter: PK_NO here. */
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
