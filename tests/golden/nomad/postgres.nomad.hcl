job "refnet-postgres" {
  datacenters = ["*"]
  type        = "service"

  group "postgres" {
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
      port "postgres" {
        static       = 5433
        host_network = "loopback"
      }
    }

    volume "data" {
      type   = "host"
      source = "refnet-data"
    }

    service {
      name     = "refnet-postgres"
      provider = "nomad"
      port     = "postgres"
    }
    # run by the agent, Nomad has no script checks: pg_isready -q -h ${HOST} -p ${PORT} -t 2

    task "postgres" {
      driver = "raw_exec"
      user   = "postgres"

      config {
        command = "postgres"
        args    = ["-D", "$${VOLUME_data}/cluster", "-c", "config_file=$${CONFIG}/postgresql.conf", "-c", "hba_file=$${CONFIG}/pg_hba.conf"]
      }

      env {
        PGPASSFILE = "$${CONFIG}/pgpass"
        PGCONNECT_TIMEOUT = "5"
      }

      volume_mount {
        volume      = "data"
        destination = "/volumes/data"
      }

      kill_signal  = "SIGINT"
      kill_timeout = "1m"

      resources {
        cpu    = 500
        memory = 512
      }
    }
  }
}
