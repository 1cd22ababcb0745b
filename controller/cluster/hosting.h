/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Nomad's word on whether a node has an allocation of a tenant. */

enum pk_hosting {
	PK_HOSTING_ASKED, /* no answer yet */
	PK_HOSTING_YES,
	PK_HOSTING_NO,
	PK_HOSTING_SILENT, /* Nomad doesn't answer, or not as one who knows this cluster */
};
