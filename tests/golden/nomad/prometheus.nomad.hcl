job "refnet-prometheus" {
  datacenters = ["*"]
  type        = "service"

  group "prometheus" {
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
        static       = 9090
        host_network = "loopback"
      }
    }

    volume "data" {
      type   = "host"
      source = "refnet-data"
    }

    service {
      name     = "refnet-prometheus"
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

    task "prometheus" {
      driver = "raw_exec"
      user   = "prometheus"

      config {
        command = "prometheus"
        args    = ["--config.file=$${CONFIG}/prometheus.yml", "--storage.tsdb.path=$${VOLUME_data}", "--storage.tsdb.retention.time=15d", "--storage.tsdb.retention.size=2GB", "--web.listen-address=$${HOST}:$${PORT}"]
      }

      volume_mount {
        volume      = "data"
        destination = "/volumes/data"
      }

      kill_signal  = "SIGTERM"
      kill_timeout = "1m"

      resources {
        cpu    = 200
        memory = 512
      }
    }
  }
}
