"""Runs that come by themselves: `[deployments.NAME]` of pipelines.toml, registered with Prefect and carried out by
`charpipe serve`, or by the workers of a pool. Prefect's server schedules; charpipe starts, watches, ends processes."""
