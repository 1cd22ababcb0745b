/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The forms of settings that several files share: picketd.json, node.json, the conflist, files of
 * expectations. at of a key: a struct pk_settings, unless said.
 */
#include "schema.h"

extern const struct pk_schema pk_form_bool; /* at: a bool */
extern const struct pk_schema pk_form_any;  /* read by nobody */
extern const struct pk_schema pk_form_baseline, pk_form_pools, pk_form_resolvers, pk_form_reach,
	pk_form_claimed;
extern const struct pk_schema pk_form_services, pk_form_services_kept; /* kept: with instances */
extern const struct pk_schema pk_form_uplinks,
	pk_form_uplinks_or_null;			 /* at: struct pk_uplink_names */
extern const struct pk_schema pk_form_masquerade;	 /* at: struct pk_masquerade */
extern const struct pk_schema pk_form_masquerade_object; /* without the short true and false */
extern const struct pk_schema pk_form_vxlan_port, pk_form_vxlan_vni, pk_form_vxlan_underlay;
/* The keys of the overlay; at: struct pk_vxlan. */
#define PK_VXLAN_KEYS                                                                              \
	{ "port", &pk_form_vxlan_port, "UDP, the same on every node", false,                       \
	  offsetof(struct pk_vxlan, port) },                                                       \
		{ "vni", &pk_form_vxlan_vni, "of this cluster in that network", false,             \
		  offsetof(struct pk_vxlan, vni) },                                                \
	{                                                                                          \
		"underlay", &pk_form_vxlan_underlay, "the nodes' addresses that it uses", false,   \
			offsetof(struct pk_vxlan, underlay)                                        \
	}
extern const struct pk_schema pk_form_capacity, pk_form_limits, pk_form_timeouts;
extern const struct pk_format pk_format_path, pk_format_prefix, pk_format_device,
	pk_format_baseline;
