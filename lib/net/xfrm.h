/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The kernel's IPsec policies. */

/*
 * Returns 1 where the current netns has an IPsec policy of whatever kind, or one by default that
 * blocks; 0 where it has none; -errno where nobody can tell.
 */
int pk_xfrm_has_policy(void);
