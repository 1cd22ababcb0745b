# SPDX-License-Identifier: Apache-2.0
# A VM on a host tap (docs/cni.md, "A host tap"): the conflist of the network `picket-host` has "attach": "host-tap", and "owner" and
# "group" are those of the user below. `picket tap` gets the tap from picketd as descriptor 3 and becomes the VMM, which has no other
# way to the network. The driver is raw_exec: exec's chroot has neither picketd's socket nor a VMM.
#
#   nomad job run -var kernel=… -var initramfs=… -var run=… examples/nomad/host-tap.nomad.hcl

variable "namespace" {
  type    = string
  default = "default"
}

variable "kernel" {
  description = "guest kernel"
  type        = string
}

variable "initramfs" {
  description = "guest initramfs: takes its address by DHCP"
  type        = string
}

variable "words" {
  description = "the guest kernel's command line"
  type        = string
  default     = "console=ttyS0 reboot=t panic=-1 quiet"
}

variable "run" {
  description = "folder that the user below may write: the guest's console appears in it"
  type        = string
}

variable "user" {
  description = "who runs the VMM, without any privilege"
  type        = string
  default     = "nobody"
}

variable "picket" {
  type    = string
  default = "/usr/bin/picket"
}

job "host-tap" {
  namespace = var.namespace
  type      = "service"

  group "vm" {
    network {
      mode = "cni/picket-host"
    }
    task "vm" {
      driver       = "raw_exec"
      user         = var.user
      kill_timeout = "1s"
      config {
        command  = var.picket
        work_dir = var.run # Nomad's own data_dir is root's alone: this user couldn't enter the task's directory
        args = ["tap", "--", "/bin/sh", "-c", join(" ", [
          "exec qemu-system-x86_64 -machine microvm,accel=tcg -cpu max -m 96",
          "-nodefaults -no-user-config -display none -no-reboot",
          "-kernel '${var.kernel}' -initrd '${var.initramfs}' -append '${var.words}'",
          "-serial 'unix:${var.run}/host-tap.sock,server=on,wait=off'",
          "-netdev tap,id=n0,fd=3 -device virtio-net-device,netdev=n0,mac=$PICKET_TAP_MAC",
        ])]
      }
      resources {
        cpu    = 500
        memory = 256
      }
    }
  }
}
