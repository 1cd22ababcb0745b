/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What this node lives by at ADD: picketd's node.json where there is one, the conflist for what
 * it lacks (design.md, "Settings"); and what the machine itself says (resolv.conf).
 */
#include "args.h"
#include "cni_conf.h"
#include "paths.h"
#include "settings.h"

/*
 * Fills settings (pk_settings_done by the caller, also on error). -errno: node.json is there and
 * can't be read; settings are then the conflist's alone, and the endpoint belongs in quarantine.
 */
int cni_settings(const struct cni_conf *conf, const struct cni_args *args,
		 const struct pk_paths *paths, struct pk_settings *settings, struct pk_err *err);
/*
 * Where the conflist's "dns" names no servers they are the machine's, and its search list goes with
 * them (pk_resolv_conf_read). False: a guest has no resolver, or one that it can't reach, and note
 * says why and what to do.
 */
bool cni_dns_fill(struct cni_conf *conf, const struct pk_paths *paths, struct pk_err *note);
/* Pure: the text of a resolv.conf into dns. What it can't use is left out. */
void cni_resolv_conf_parse(char *text, struct cni_dns *dns);
