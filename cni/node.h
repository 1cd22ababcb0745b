/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The settings of this node at ADD: picketd's node.json comes first, the conflist fills in what it
 * lacks (design.md, "Settings"), and resolv.conf names the resolvers where neither does.
 */
#include "args.h"
#include "cni_conf.h"
#include "paths.h"
#include "settings.h"

/*
 * Fills settings, which the caller releases by pk_settings_done, also on error. -errno means that
 * node.json is there and can't be read: settings are then the conflist's alone, and the endpoint
 * belongs in quarantine.
 */
int cni_settings(const struct cni_conf *conf, const struct cni_args *args,
		 const struct pk_paths *paths, struct pk_settings *settings, struct pk_err *err);
/*
 * Takes servers and search list from the machine (pk_resolv_conf_read) where the conflist's "dns"
 * names no servers. Returns false where a guest has no resolver that it can reach; note then says
 * why and what to do.
 */
bool cni_dns_fill(struct cni_conf *conf, const struct pk_paths *paths, struct pk_err *note);
/* Reads the text of a resolv.conf into dns, without lines that can't be used. Pure. */
void cni_resolv_conf_parse(char *text, struct cni_dns *dns);
