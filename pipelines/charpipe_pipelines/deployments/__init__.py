"""Scheduled runs: `[deployments.NAME]` of pipelines.toml, registered with Prefect and executed by
`charpipe serve`, or by the workers of a pool. Prefect's server schedules; charpipe starts, watches, ends processes."""
