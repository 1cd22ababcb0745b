# SPDX-License-Identifier: Apache-2.0
# VM mode, the default: Picket makes tap0 in the allocation's network namespace, and the VMM opens it by its name. The guest takes
# address, gateway and resolvers by DHCP. Its MAC must be the endpoint's: here the job names it, for which the operator's conflist
# has "allowJobArgs": ["picket.mac"]; a driver of your own reads it from /run/picket/vm/<alloc id>.json.
#
#   nomad job run -var kernel=/srv/vmlinuz -var disk=/srv/disk.img examples/nomad/vm.nomad.hcl

variable "kernel" {
  description = "guest kernel"
  type        = string
}

variable "disk" {
  description = "the guest's root disk; the client's qemu plugin must allow the folder (image_paths)"
  type        = string
}

job "vm" {
  type = "service"

  group "vm" {
    network {
      mode = "cni/picket"
      cni {
        args = {
          "picket.mac" = "02:70:00:00:0b:01"
        }
      }
    }

    task "vm" {
      driver = "qemu"
      config {
        image_path      = var.disk
        machine_type    = "microvm"
        drive_interface = "none"
        accelerator     = "kvm"
        args = [
          "-kernel", var.kernel, "-append", "console=ttyS0 root=/dev/vda ip=dhcp",
          "-drive", "id=d0,file=${var.disk},format=raw,if=none", "-device", "virtio-blk-device,drive=d0",
          "-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no",
          "-device", "virtio-net-device,netdev=n0,mac=02:70:00:00:0b:01",
        ]
      }
      resources {
        cpu    = 1000
        memory = 512
      }
    }
  }
}
