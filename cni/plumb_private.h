/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to the plumb*.c files: the record's tap and hooks. */
#include "hook.h"
#include "plumb.h"
#include "tap.h"

struct pk_tap cni_plumb_tap(const struct cni_plumb *p);
bool cni_plumb_is_bound(const struct cni_plumb *p); /* whether its tap needs pk_bound_tap */
/* Lists the programs that are attached inside the allocation's netns in vm mode. */
size_t cni_plumb_inside(const struct cni_plumb *p, const enum pk_prog **progs);
struct pk_hook cni_plumb_hook(const struct cni_plumb *p, enum pk_prog prog);
