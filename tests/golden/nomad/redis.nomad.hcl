job "refnet-redis" {
  datacenters = ["*"]
  type        = "service"

  group "redis" {
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
      port "redis" {
        static       = 6380
        host_network = "loopback"
      }
    }

    volume "data" {
      type   = "host"
      source = "refnet-data"
    }

    service {
      name     = "refnet-redis"
      provider = "nomad"
      port     = "redis"
    }
    # run by the agent, Nomad has no script checks: sh -c REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli -h "$0" -p "$1" ping | grep -qx PONG || exit 2 ${HOST} ${PORT}

    task "redis" {
      driver = "raw_exec"
      user   = "redis"

      config {
        command = "redis-server"
        args    = ["$${CONFIG}/redis.conf"]
      }

      template {
        destination = "secrets/environment"
        env         = true
        change_mode = "noop"
        data        = <<EOT
{{ with nomadVar "nomad/jobs/refnet-redis" }}
REDIS_PASSWORD={{ .REDIS_PASSWORD }}
{{ end }}
EOT
      }

      volume_mount {
        volume      = "data"
        destination = "/volumes/data"
      }

      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
