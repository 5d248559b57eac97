"""The tables `[deployments.NAME]`: what runs, when, and what happens to a run that is late or overlaps another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from charpipe.config.settings.training import parse_budget
from charpipe.errors import CharpipeError, near_match
from charpipe.plugin import Options

SHORTEST = 10.0
"""Seconds between two runs, at least: a run's process takes some of them to start."""
CRON_FIELDS = 5
ANCHOR = datetime(2000, 1, 1)
_ABBREVIATIONS = {
    **dict.fromkeys(("PST", "PDT", "PT"), "America/Los_Angeles"),
    **dict.fromkeys(("MDT", "MT"), "America/Denver"),
    **dict.fromkeys(("CST", "CDT", "CT"), "America/Chicago"),
    **dict.fromkeys(("EDT", "ET"), "America/New_York"),
    **dict.fromkeys(("AKST", "AKDT"), "America/Anchorage"),
    **dict.fromkeys(("BST",), "Europe/London"),
    **dict.fromkeys(("CEST", "MESZ", "MEZ"), "Europe/Berlin"),
    **dict.fromkeys(("EEST",), "Europe/Athens"),
    **dict.fromkeys(("IST",), "Asia/Kolkata"),
    **dict.fromkeys(("JST",), "Asia/Tokyo"),
    **dict.fromkeys(("AEST", "AEDT"), "Australia/Sydney"),
    **dict.fromkeys(("NZST", "NZDT"), "Pacific/Auckland"),
}


class Schedule(Options):
    """When a deployment runs: `{cron = "0 3 * * *", timezone = "Europe/Berlin"}` or `{interval = "6h"}`."""

    cron: str | None = Field(None, description="five fields: minute, hour, day, month, day of the week")
    interval: str | None = Field(None, description="time between runs (90s, 6h, 1d)")
    anchor: datetime | None = Field(None, description="start of the first interval; unset: midnight")
    timezone: str = Field("UTC", description="time zone of the schedule, with its daylight saving time")

    @model_validator(mode="before")
    @classmethod
    def _is_table(cls, value: Any) -> Any:
        if isinstance(value, str):
            key = "cron" if " " in value.strip() or value.startswith("@") else "interval"
            raise ValueError(f'a schedule is a table; write it as schedule = {{{key} = "{value}"}}')
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        zones = available_timezones()
        if value.upper() in _ABBREVIATIONS:
            raise ValueError(
                f"an abbreviation has no daylight saving time; did you mean {_ABBREVIATIONS[value.upper()]!r}?"
            )
        if value not in zones:
            near = near_match(value, zones)
            raise ValueError(
                "no such time zone" + (near if "did you mean" in near else "; write it as in Europe/Berlin")
            )
        return value

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("@") and len(value.split()) != CRON_FIELDS:
            raise ValueError(
                f"a cron line has five fields, minute to day of the week, not {len(value.split())}"
            )
        return value

    @field_validator("interval")
    @classmethod
    def _long_enough(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            seconds = parse_budget(value)
        except CharpipeError as error:
            raise ValueError(str(error)) from error
        if seconds < SHORTEST:
            raise ValueError(f"too short: runs are at least {SHORTEST:.0f} s apart")
        return value

    @model_validator(mode="after")
    def _one_of_two(self) -> Schedule:
        if (self.cron is None) == (self.interval is None):
            raise ValueError('give either cron = "0 3 * * *" or interval = "6h"')
        if self.cron is not None and self.anchor is not None:
            raise ValueError("anchor belongs to interval, not to cron")
        return self

    @property
    def every(self) -> timedelta | None:
        """The interval, or None."""
        return None if self.interval is None else timedelta(seconds=parse_budget(self.interval))

    @property
    def start(self) -> datetime:
        """The time from which intervals are counted, with its time zone."""
        anchor = self.anchor or ANCHOR
        return anchor if anchor.tzinfo is not None else anchor.replace(tzinfo=ZoneInfo(self.timezone))

    def __str__(self) -> str:
        if self.interval is not None:
            return f"every {self.interval}"
        return f"{self.cron} {self.timezone}"


class DeploymentConfig(Options):
    """A `[deployments.NAME]` table. The options of its pipeline (`corpus`, `arch`, ...) stand in it too."""

    pipeline: str = Field(description="what runs: see `charpipe pipelines list`")
    summary: str = Field("", description="one line about it, shown in Prefect's page")
    schedule: Schedule | None = Field(None, description="cron or interval; unset: only on demand")
    preset: str | None = Field(None, description="a preset of this file")
    settings: dict[str, Any] = Field(
        default_factory=dict, description='settings by dotted key: {"train.budget" = "30m"}'
    )
    late: Literal["once", "skip"] = Field(
        "once", description="after downtime: one run for all that were missed, or none until the next time"
    )
    overlap: Literal["wait", "skip", "replace"] = Field(
        "wait",
        description="if the previous run is in progress: wait for it, skip this run, or stop (and save) that one",
    )
    retries: int = Field(
        1, ge=0, le=100, description="how many times a run whose process was killed is resumed automatically"
    )
    paused: bool = Field(False, description="registered, but not scheduled")


def utc(moment: datetime) -> str:
    """A time, formatted for lists."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
