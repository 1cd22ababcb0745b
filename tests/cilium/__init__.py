# SPDX-License-Identifier: GPL-2.0-only
"""What Cilium's policies mean to Cilium, apart from Picket: the measure of `picket policy import`."""
