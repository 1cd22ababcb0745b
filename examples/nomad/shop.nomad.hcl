# A tenant's job: two microVMs, api and db, each on the tap0 that Picket made in its allocation's
# network namespace. The author writes `mode = "cni/picket"`, and a `port` for what the node is to
# publish.
#
#   nomad job run -var namespace=acme -var kernel=… -var initramfs=… -var run=… shop.nomad.hcl
#
# The guest's MAC must be the endpoint's. Here the job names it (the operator's conflist has
# "allowJobArgs": ["picket.mac"]); a driver of your own reads it from /run/picket/vm/<alloc>.json.

variable "namespace" {
  type = string
}

variable "kernel" {
  description = "guest kernel"
  type        = string
}

variable "initramfs" {
  description = "guest initramfs: takes its address by DHCP, echoes TCP on port 8080"
  type        = string
}

variable "words" {
  description = "the guest kernel's command line"
  type        = string
  default     = "console=ttyS0 reboot=t panic=-1 quiet"
}

variable "run" {
  description = "folder with disk.img (empty: these guests have no disk); consoles appear in it"
  type        = string
}

job "shop" {
  namespace = var.namespace
  type      = "service"

  meta {
    team = "blue"
  }

  group "api" {
    network {
      mode = "cni/picket"
      cni {
        args = {
          "picket.mac" = "02:70:00:00:0a:01"
        }
      }
      port "web" { # the node's, of Nomad's own choice; it leads to the guest's 8080
        to = 8080
      }
    }
    restart {
      attempts = 5
      delay    = "1s"
      mode     = "delay"
    }
    task "vm" {
      driver       = "qemu"
      kill_timeout = "1s"
      config {
        image_path      = "${var.run}/disk.img"
        machine_type    = "microvm"
        drive_interface = "none"
        accelerator     = "tcg"
        # The driver's own -m is the task's memory, which is QEMU's limit too: the last -m counts.
        args = [
          "-m", "96", "-cpu", "max", "-no-reboot",
          "-kernel", var.kernel, "-initrd", var.initramfs,
          "-append", var.words,
          "-serial", "unix:${var.run}/${var.namespace}-api.sock,server=on,wait=off",
          "-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no",
          "-device", "virtio-net-device,netdev=n0,mac=02:70:00:00:0a:01",
        ]
      }
      resources {
        cpu    = 800
        memory = 256
      }
    }
  }

  group "db" {
    network {
      mode = "cni/picket"
      cni {
        args = {
          "picket.mac" = "02:70:00:00:0d:01"
        }
      }
      port "sql" {
        to = 8080
      }
    }
    restart {
      attempts = 5
      delay    = "1s"
      mode     = "delay"
    }
    task "vm" {
      driver       = "qemu"
      kill_timeout = "1s"
      config {
        image_path      = "${var.run}/disk.img"
        machine_type    = "microvm"
        drive_interface = "none"
        accelerator     = "tcg"
        args = [
          "-m", "96", "-cpu", "max", "-no-reboot",
          "-kernel", var.kernel, "-initrd", var.initramfs,
          "-append", var.words,
          "-serial", "unix:${var.run}/${var.namespace}-db.sock,server=on,wait=off",
          "-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no",
          "-device", "virtio-net-device,netdev=n0,mac=02:70:00:00:0d:01",
        ]
      }
      resources {
        cpu    = 800
        memory = 256
      }
    }
  }
}
