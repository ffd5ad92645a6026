job "refnet-flower" {
  datacenters = ["*"]
  type        = "service"

  group "flower" {
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
      port "http" {
        static       = 5555
        host_network = "loopback"
      }
    }

    service {
      name     = "refnet-flower"
      provider = "nomad"
      port     = "http"

      check {
        type     = "http"
        port     = "http"
        path     = "/flower/healthcheck"
        interval = "10s"
        timeout  = "4s"
      }
    }

    task "flower" {
      driver = "raw_exec"
      user   = "refnet"

      config {
        command = "celery"
        args    = ["-A", "refnet_app.worker:celery", "flower", "--address=$${HOST}", "--port=$${PORT}", "--url_prefix=flower"]
      }

      template {
        destination = "secrets/environment"
        env         = true
        change_mode = "noop"
        data        = <<EOT
{{ with nomadVar "nomad/jobs/refnet-flower" }}
REDIS_URL={{ .REDIS_URL }}
FLOWER_BASIC_AUTH={{ .FLOWER_BASIC_AUTH }}
{{ end }}
EOT
      }

      kill_signal  = "SIGTERM"
      kill_timeout = "10s"

      resources {
        cpu    = 100
        memory = 256
      }
    }
  }
}
