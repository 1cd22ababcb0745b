/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to plumb.c and repair.c: the record's tap and hooks. */
#include "hook.h"
#include "plumb.h"
#include "tap.h"

struct pk_tap cni_plumb_tap(const struct cni_plumb *p);
struct pk_hook cni_plumb_hook(const struct cni_plumb *p, enum pk_prog prog);
