job "refnet-api" {
  datacenters = ["*"]
  type        = "service"

  group "api" {
    count = 2

    restart {
      attempts = 10
      interval = "10m"
      delay    = "1s"
      mode     = "delay"
    }

    update {
      health_check     = "checks"
      min_healthy_time = "1s"
      healthy_deadline = "1m"
      auto_revert      = true
      canary           = 1
      auto_promote     = true
    }

    network {
      port "http" {
        host_network = "loopback"
      }
    }

    service {
      name     = "refnet-api"
      provider = "nomad"
      port     = "http"

      check {
        type     = "http"
        port     = "http"
        path     = "/health"
        interval = "10s"
        timeout  = "4s"
      }
    }

    task "api" {
      driver = "raw_exec"
      user   = "refnet"

      config {
        command = "uvicorn"
        args    = ["refnet_app.api:app", "--host", "$${HOST}", "--port", "$${PORT}", "--no-access-log"]
      }

      env {
        OUTPUT_DIR = "$${VOLUME_output}"
        GATEWAY_URL = "$${GATEWAY_URL}"
        GATEWAY_ADDRESS = "$${GATEWAY_ADDRESS}"
        GATEWAY_CA = "$${GATEWAY_CA}"
      }

      template {
        destination = "secrets/environment"
        env         = true
        change_mode = "noop"
        data        = <<EOT
{{ with nomadVar "nomad/jobs/refnet-api" }}
DATABASE_URL={{ .DATABASE_URL }}
REDIS_URL={{ .REDIS_URL }}
ADMIN_PASSWORD={{ .ADMIN_PASSWORD }}
APP_SIGNING_KEY={{ .APP_SIGNING_KEY }}
{{ end }}
EOT
      }

      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      resources {
        cpu    = 500
        memory = 512
      }
    }
  }
}
