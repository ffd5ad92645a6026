job "refnet-grafana" {
  datacenters = ["*"]
  type        = "service"

  group "grafana" {
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
        static       = 3000
        host_network = "loopback"
      }
    }

    volume "data" {
      type   = "host"
      source = "refnet-data"
    }

    service {
      name     = "refnet-grafana"
      provider = "nomad"
      port     = "http"

      check {
        type     = "http"
        port     = "http"
        path     = "/api/health"
        interval = "10s"
        timeout  = "4s"
      }
    }

    task "grafana" {
      driver = "docker"

      config {
        image = "grafana/grafana:11"
      }

      env {
        GF_SERVER_HTTP_ADDR = "$${HOST}"
        GF_SERVER_HTTP_PORT = "$${PORT}"
        GF_PATHS_DATA = "$${VOLUME_data}"
      }

      volume_mount {
        volume      = "data"
        destination = "/volumes/data"
      }

      kill_signal  = "SIGTERM"
      kill_timeout = "10s"

      resources {
        cpu    = 100
        memory = 512
      }
    }
  }
}
