// SPDX-License-Identifier: GPL-2.0-only
#include "tests/bpf/node.h"
void cases_policy(void)
{
}
