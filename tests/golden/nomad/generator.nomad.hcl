job "refnet-generator" {
  datacenters = ["*"]
  type        = "service"

  group "generator" {
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

    volume "output" {
      type   = "host"
      source = "refnet-output"
    }

    task "generator" {
      driver = "raw_exec"
      user   = "refnet"

      config {
        command = "celery"
        args    = ["--quiet", "-A", "refnet_app.worker:celery", "worker", "-Q", "generator", "-n", "$${INSTANCE}@%h", "--concurrency", "1", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
      }

      env {
        OUTPUT_DIR = "$${VOLUME_output}"
      }

      template {
        destination = "secrets/environment"
        env         = true
        change_mode = "noop"
        data        = <<EOT
{{ with nomadVar "nomad/jobs/refnet-generator" }}
DATABASE_URL={{ .DATABASE_URL }}
REDIS_URL={{ .REDIS_URL }}
{{ end }}
EOT
      }

      volume_mount {
        volume      = "output"
        destination = "/volumes/output"
      }

      kill_signal  = "SIGTERM"
      kill_timeout = "1m"

      resources {
        cpu    = 300
        memory = 512
      }
    }
  }
}
