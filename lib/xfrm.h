/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* IPsec as the kernel does it: what its policies want to be asked of. */

/*
 * Returns 1 where the current netns has an IPsec policy of whatever kind, or one by default that
 * blocks; 0 where it has none; -errno where nobody can tell.
 */
int pk_xfrm_has_policy(void);
