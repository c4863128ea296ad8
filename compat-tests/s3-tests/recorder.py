"""A pytest plugin: bounds each test of the suite and records its result.

It is loaded beside the suite, which stays as it is. The environment names the
file with the tests to run (S3TESTS_SELECT), the file that gets one line of JSON
for each event (S3TESTS_RECORD) and the seconds that a test has (S3TESTS_TIMEOUT).
"""

import json
import os
import re
import signal
from pathlib import Path

import pytest

SELECTED = set(Path(os.environ["S3TESTS_SELECT"]).read_text(encoding="utf-8").split())
RECORD = Path(os.environ["S3TESTS_RECORD"])
TIMEOUT = float(os.environ["S3TESTS_TIMEOUT"])

# What differs from run to run in a message.
VARYING = (
    (re.compile(r"127\.0\.0\.1:\d+"), "server"),
    (re.compile(r"s3tests-[a-z0-9]{5,}-(\d+)?"), "BUCKET"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0x"),
    (re.compile(r"\b[0-9a-f]{32,}\b"), "HEX"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(\+00:00|Z)?"), "TIME"),
    (re.compile(r"datetime\.datetime\([^)]*\)+"), "TIME"),
)


class TooSlow(BaseException):
    """Not an Exception, so that no test takes it for an answer."""


def record(**event):
    with RECORD.open("a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


def first_line(report):
    """The first line of what a failure says of itself."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    line = next((line.strip() for line in text.splitlines() if line.strip()), "no message")
    for pattern, replacement in VARYING:
        line = pattern.sub(replacement, line)
    return line if len(line) <= 200 else line[:199] + "…"


def pytest_collection_modifyitems(config, items):
    chosen = [item for item in items if item.originalname in SELECTED]
    config.hook.pytest_deselected(items=[item for item in items if item.originalname not in SELECTED])
    items[:] = chosen


def pytest_sessionfinish(exitstatus):
    record(event="end", status=int(exitstatus))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Interrupts a test that takes too long, and again what cleans up after it."""
    def interrupt(*_):
        raise TooSlow(f"it took longer than {TIMEOUT:.0f} seconds")

    record(event="start", test=item.originalname)
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT, TIMEOUT)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef):
    """Gives each test a bucket prefix of its own: what one leaves behind, no other has to remove."""
    if fixturedef.argname == "setup_teardown":
        from s3tests import functional
        functional.prefix = functional.choose_bucket_prefix(template="s3tests-{random}-")


def pytest_runtest_logreport(report):
    name = report.nodeid.split("::")[-1].split("[")[0]
    if report.failed:
        phase = "" if report.when == "call" else f"{report.when}: "
        record(event="failed", test=name, reason=phase + first_line(report), seconds=report.duration)
    elif report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        record(event="skipped", test=name, reason=reason.removeprefix("Skipped: "))
    elif report.when == "call":
        record(event="passed", test=name, seconds=report.duration)
    if report.when == "teardown":
        record(event="done", test=name)
