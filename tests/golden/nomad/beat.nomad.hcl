job "refnet-beat" {
  datacenters = ["*"]
  type        = "service"

  group "beat" {
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

    volume "schedule" {
      type   = "host"
      source = "refnet-schedule"
    }

    task "beat" {
      driver = "raw_exec"
      user   = "refnet"

      config {
        command = "celery"
        args    = ["--quiet", "-A", "refnet_app.worker:celery", "beat", "-s", "$${VOLUME_schedule}/celerybeat-schedule", "--pidfile=", "--loglevel", "INFO"]
      }

      template {
        destination = "secrets/environment"
        env         = true
        change_mode = "noop"
        data        = <<EOT
{{ with nomadVar "nomad/jobs/refnet-beat" }}
REDIS_URL={{ .REDIS_URL }}
{{ end }}
EOT
      }

      volume_mount {
        volume      = "schedule"
        destination = "/volumes/schedule"
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
