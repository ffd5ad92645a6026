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

    task "grafana" {
      driver = "docker"

      config {
        image = "grafana/grafana:11"
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
