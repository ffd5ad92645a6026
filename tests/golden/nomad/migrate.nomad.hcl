job "refnet-migrate" {
  datacenters = ["*"]
  type        = "batch"

  group "migrate" {
    count = 1

    task "migrate" {
      driver = "raw_exec"
      user   = "refnet"

      config {
        command = "alembic"
        args    = ["upgrade", "head"]
      }

      template {
        destination = "secrets/environment"
        env         = true
        change_mode = "noop"
        data        = <<EOT
{{ with nomadVar "nomad/jobs/refnet-migrate" }}
DATABASE_URL={{ .DATABASE_URL }}
{{ end }}
EOT
      }

      kill_signal  = "SIGTERM"
      kill_timeout = "10s"

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
