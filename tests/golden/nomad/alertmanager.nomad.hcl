job "refnet-alertmanager" {
  datacenters = ["*"]
  type        = "service"

  group "alertmanager" {
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
        static       = 9093
        host_network = "loopback"
      }
    }

    volume "data" {
      type   = "host"
      source = "refnet-data"
    }

    service {
      name     = "refnet-alertmanager"
      provider = "nomad"
      port     = "http"

      check {
        type     = "http"
        port     = "http"
        path     = "/-/ready"
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "alertmanager" {
      driver = "raw_exec"
      user   = "prometheus"

      config {
        command = "prometheus-alertmanager"
        args    = ["--config.file=$${CONFIG}/alertmanager.yml", "--storage.path=$${VOLUME_data}", "--web.listen-address=$${HOST}:$${PORT}", "--cluster.listen-address="]
      }

      volume_mount {
        volume      = "data"
        destination = "/volumes/data"
      }

      kill_signal  = "SIGTERM"
      kill_timeout = "10s"

      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
