job "refnet-gateway" {
  datacenters = ["*"]
  type        = "service"

  group "gateway" {
    count = 1

    restart {
      attempts = 10
      interval = "10m"
      delay    = "1s"
      mode     = "delay"
    }

    update {
      health_check     = "checks"
      min_healthy_time = "0s"
      healthy_deadline = "1m"
      auto_revert      = true
    }

    network {
      port "https" {
        static       = 8443
        host_network = "loopback"
      }
      port "http" {
        static       = 8080
        host_network = "loopback"
      }
    }

    service {
      name     = "refnet-gateway"
      provider = "nomad"
      port     = "https"

      check {
        type     = "http"
        port     = "https"
        path     = "/healthz"
        protocol        = "https"
        tls_skip_verify = true
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "gateway" {
      driver = "raw_exec"
      user   = "www-data"

      config {
        command = "nginx"
        args    = ["-c", "$${CONFIG}/nginx.conf", "-e", "stderr", "-g", "daemon off;"]
      }

      kill_signal  = "SIGQUIT"
      kill_timeout = "30s"

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
