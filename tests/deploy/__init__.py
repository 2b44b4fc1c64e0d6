"""What it is run with: the image, compose, the chart, alerts and dashboards."""
