"""Schedules across clock changes: a time that the clock skips comes due at the first moment that exists.

Prefect's own cron schedule fires such a time before the change, and its daily interval moves by an hour in summer. An
RRULE (RFC 5545) expresses the same times and replaces each skipped one: EXDATE removes it, RDATE adds the first
moment after the change. A time that the clock repeats comes due once, the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr  # type: ignore[import-untyped]

YEARS = 10
"""For how long ahead skipped times are replaced; registering again computes them again."""
LONGEST_RULE = 6_000
"""Characters: Prefect refuses rules of more than 6,500."""
OFTEN = 48
"""Times a day."""
_DAYS = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")
_STAMP = "%Y%m%dT%H%M%S"
Gap = tuple[datetime, datetime]
"""The wall-clock time at which clocks go forward, and the one that they show then."""


def cron_rules(line: str) -> list[str]:
    """The RRULE lines of a cron line: two if both days of the month and of the week are given, as either matches."""
    from prefect._vendor.croniter import croniter  # type: ignore[attr-defined]

    (minutes, hours, days, months, weekdays), nth = croniter.expand(line)  # type: ignore[no-untyped-call]
    base = f"BYSECOND=0;BYMINUTE={_listed(minutes, 60)};BYHOUR={_listed(hours, 24)}"
    if months != ["*"]:
        base += f";BYMONTH={_listed(months, 0)}"
    rules = []
    if days != ["*"]:
        wanted = ",".join("-1" if day == "l" else str(day) for day in days)
        rules.append(f"RRULE:FREQ=DAILY;{base};BYMONTHDAY={wanted}")
    if weekdays != ["*"]:
        rules.append(f"RRULE:FREQ=MONTHLY;{base};BYDAY={_weekdays(weekdays, nth)}")
    return rules or [f"RRULE:FREQ=DAILY;{base}"]


def counted_from(rules: list[str], now: datetime) -> datetime:
    """Where counting starts: Prefect iterates over all times since then, so frequent schedules start later."""
    times = rules[0].partition("BYMINUTE=")[2].split(";")[:2]
    often = (times[0].count(",") + 1) * (times[1].count(",") + 1) > OFTEN
    return datetime(now.year, now.month, 1) if often else datetime(now.year - 1, 1, 1)


def with_gaps(rules: list[str], start: datetime, zone: str, now: datetime) -> tuple[str, bool]:
    """The rule in Prefect's form, counted from the wall-clock time `start`, and whether clock changes skip any of its
    times in the coming years."""
    begin = f"DTSTART:{start:{_STAMP}}"
    skipped: list[str] = []
    for gap in gaps(zone, now):
        found = _skipped(rules, start, gap)
        lines = [f"EXDATE:{time:{_STAMP}}" for time in found]
        lines += [f"RDATE:{gap[1]:{_STAMP}}"] if found else []
        if len("\n".join([begin, *rules, *skipped, *lines])) > LONGEST_RULE:
            break
        skipped += lines
    return "\n".join([begin, *rules, *skipped]), bool(skipped)


def gaps(zone: str, now: datetime) -> Iterator[Gap]:
    """The times at which the clocks of a time zone go forward, from `now` on."""
    there = ZoneInfo(zone)
    moment = now.astimezone(UTC)
    for _ in range(YEARS * 366):
        later = moment + timedelta(days=1)
        before, after = (one.astimezone(there).utcoffset() for one in (moment, later))
        if before is not None and after is not None and before < after:
            change = _change(moment, later, there).replace(tzinfo=None)
            yield change + before, change + after
        moment = later


def _change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The moment between two times at which the zone's offset changes."""
    before = low.astimezone(zone).utcoffset()
    seconds, first = int((high - low).total_seconds()), 0
    while seconds - first > 1:
        middle = (seconds + first) // 2
        same = (low + timedelta(seconds=middle)).astimezone(zone).utcoffset() == before
        first, seconds = (middle, seconds) if same else (first, middle)
    return low + timedelta(seconds=seconds)


def _skipped(rules: list[str], start: datetime, gap: Gap) -> list[datetime]:
    # a rule that counts days must be counted from its start; any other may start on the day itself
    begin = start if any("INTERVAL" in rule for rule in rules) else datetime(gap[0].year, gap[0].month, 1)
    text = "\n".join([f"DTSTART:{begin:{_STAMP}}", *rules])
    found = rrulestr(text, forceset=True).between(gap[0], gap[1] - timedelta(seconds=1), inc=True)
    return list(found)


def _listed(values: list[int | str], everything: int) -> str:
    return ",".join(str(value) for value in (range(everything) if values == ["*"] else values))


def _weekdays(values: list[int | str], nth: dict[int, set[int | str]]) -> str:
    named = []
    for value in values:
        places = nth.get(int(value))
        name = _DAYS[int(value) % 7]
        named += [name] if not places else [f"{-1 if place == 'l' else place}{name}" for place in places]
    return ",".join(named)
