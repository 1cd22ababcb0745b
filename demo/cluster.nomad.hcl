# A tenant's microVMs, each on a node of its own: what `make demo-cluster` runs and drains.

variable "namespace" {
  type = string
}

variable "mac" {
  type = string
}

variable "kernel" {
  type = string
}

variable "initramfs" {
  type = string
}

variable "words" {
  type = string
}

variable "run" {
  description = "folder with disk.img (empty: these guests have no disk); consoles appear in it"
  type        = string
}

job "vm" {
  namespace = var.namespace

  group "vm" {
    count = 2
    constraint {
      distinct_hosts = true
    }
    network {
      mode = "cni/picket"
      cni {
        args = {
          "picket.mac" = var.mac
        }
      }
    }
    restart {
      attempts = 5
      delay    = "1s"
      mode     = "delay"
    }
    migrate {
      health_check     = "task_states"
      min_healthy_time = "1s"
    }
    disconnect {
      lost_after = "5m"
      replace    = false
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
          "-serial", "unix:${var.run}/${NOMAD_ALLOC_ID}.sock,server=on,wait=off",
          "-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no",
          "-device", "virtio-net-device,netdev=n0,mac=${var.mac}",
        ]
      }
      resources {
        cpu    = 800
        memory = 256
      }
    }
  }
}
