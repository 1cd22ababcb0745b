/* SPDX-License-Identifier: Apache-2.0 */
/* The kill points of a test build, as mk/cni.mk finds them in the source. */
#include "verb.h"

#ifdef PK_FAULTS
#include <stdio.h>

void cni_list_faults(void)
{
#define X(name) puts(name);
#include "faults.h"
#undef X
}
#endif
