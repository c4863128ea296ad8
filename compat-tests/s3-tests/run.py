#!/usr/bin/env python3
"""Runs Ceph's s3-tests against Undercroft and writes results.md; README.md says how."""

import argparse
import collections
import concurrent.futures
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True

import groups  # noqa: E402
import report  # noqa: E402
import server  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DIFFERENCES = ROOT / "docs" / "s3-differences.md"
REVISION = "8f0ae7b4"
PACKAGES = ("boto3", "pytest", "PyYAML", "munch", "gevent", "isodate", "requests", "pytz", "httplib2", "lxml")

# A server takes this many tests at most before the next begins afresh.
CHUNK = 40
# Tests that wait for days to pass, which are short: the fewer in a row the better.
WAITING = {"lifecycle": 5}
# A pytest that says nothing for this many times a test's seconds is stuck for good.
STUCK = 3

# Tests that want a server with a region: us-east-1 is no location constraint.
REGIONS = {"test_bucket_get_location": "eu-central-1"}

Chunk = collections.namedtuple("Chunk", "number names region")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", default="", metavar="WORD,...", help="only tests with a word in their name, and groups called so; results.md stays")
    parser.add_argument("-n", type=int, default=min(4, os.cpu_count() or 1), metavar="N", help="workers (default %(default)s)")
    parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS", help="for one test (default %(default)s)")
    parser.add_argument("--binary", default=ROOT / "bin" / "undercroft", help="what to test (default bin/undercroft)")
    parser.add_argument("--keep", action="store_true", help="keep the servers' directories and logs")
    parser.add_argument("--json", metavar="FILE", help="write the results there too")
    return parser.parse_args()


def checkout():
    """The directory of the suite, unpatched and at the revision that the lists of the peers are about."""
    if not os.environ.get("S3TESTS_DIR"):
        sys.exit("S3TESTS_DIR must name a checkout of github.com/ceph/s3-tests, revision " + REVISION)
    directory = Path(os.environ["S3TESTS_DIR"]).resolve()
    git = ("git", "-c", "safe.directory=*", "-C", str(directory))
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"],
                             capture_output=True, text=True, check=False).stdout.strip()
    if not head.startswith(REVISION) or changed:
        print(f"warning: {directory} is at {head or 'no revision'}, wanted {REVISION}, changed: {changed or 'nothing'}", file=sys.stderr)
    return directory


def interpreter():
    """A Python with boto3 and pytest: S3TESTS_VENV, or an environment made in the cache."""
    given = os.environ.get("S3TESTS_VENV")
    if given:
        return Path(given, "bin", "python")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "undercroft-s3-tests")
    python = cache / "bin" / "python"
    if not (cache / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", cache], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        (cache / "complete").touch()
    return python


def chunks(names):
    """What the workers take, one after another: tests of one group, the largest first."""
    wanted = collections.defaultdict(list)
    for name, group in names.items():
        wanted[group, REGIONS.get(name, "us-east-1")].append(name)
    parts = []
    for (group, region), members in wanted.items():
        size = WAITING.get(group, CHUNK)
        parts += [(members[first:first + size], region, group) for first in range(0, len(members), size)]
    parts.sort(key=lambda part: (part[2] not in WAITING, -len(part[0])))
    return [Chunk(number, names, region) for number, (names, region, _) in enumerate(parts)]


class Runner:
    """Runs chunks of tests, each on a server of its own."""

    def __init__(self, options, suite, python, program, work):
        self.options, self.suite, self.python, self.program, self.work = options, suite, python, program, work
        self.results, self.troubles = {}, []
        self.pytests = set()  # running now
        self.stopped = False

    def run(self, names):
        waiting = queue.SimpleQueue()
        for chunk in chunks(names):
            waiting.put(chunk)
        with concurrent.futures.ThreadPoolExecutor(self.options.n) as pool:
            workers = [pool.submit(self._worker, waiting) for _ in range(self.options.n)]
            try:
                for worker in workers:
                    worker.result()
            except BaseException:
                self.stopped = True
                for process in list(self.pytests):
                    os.killpg(process.pid, signal.SIGKILL)
                raise

    def _worker(self, waiting):
        while not self.stopped:
            try:
                chunk = waiting.get_nowait()
            except queue.Empty:
                return
            self._chunk(chunk)

    def _chunk(self, chunk):
        directory = self.work / f"chunk{chunk.number}"
        with server.Server(self.program, directory, chunk.region) as running:
            left, attempt = chunk.names, 0
            while left:
                record = directory / f"record{attempt}.jsonl"
                self._pytest(running, left, record, chunk.region)
                if self.stopped:
                    return
                seen = self._read(record)
                if not seen:
                    raise RuntimeError(f"pytest ran nothing; see {directory}")
                left, attempt = [name for name in left if name not in seen], attempt + 1
            wrong = running.stop()
        if wrong:
            self.troubles.append(f"server of {chunk.names[0]} and others: {wrong}")
        if not self.options.keep and not wrong:
            shutil.rmtree(directory)
        passed = sum(self.results[name]["outcome"] == "passed" for name in chunk.names)
        print(f"{passed:3} of {len(chunk.names):3} passed: {chunk.names[0]} … {chunk.names[-1]}", flush=True)

    def _pytest(self, running, names, record, region):
        """Runs the tests until the end, or until one of them is stuck for good."""
        select = record.with_suffix(".select")
        select.write_text("\n".join(names), encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "S3", "PYTEST"))}
        environment |= {
            "S3TEST_CONF": str(running.config_path), "S3TESTS_SELECT": str(select), "S3TESTS_RECORD": str(record),
            "S3TESTS_TIMEOUT": str(self.options.timeout), "PYTHONPATH": str(HERE), "PYTHONUNBUFFERED": "1",
            "PYTHONPYCACHEPREFIX": str(self.work / "pycache"), "NO_PROXY": "127.0.0.1",
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": region,
        }
        with record.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen([self.python, "-m", "pytest", "-p", "recorder", "-p", "no:cacheprovider", "-rA", *groups.MODULES],
                                       cwd=self.suite, env=environment, stdout=log, stderr=log, start_new_session=True)
            self.pytests.add(process)
            size, since = 0, time.monotonic()
            while process.poll() is None:
                time.sleep(0.2)
                now = record.stat().st_size if record.exists() else 0
                if now != size:
                    size, since = now, time.monotonic()
                elif time.monotonic() - since > STUCK * self.options.timeout:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            self.pytests.discard(process)

    def _read(self, record):
        """Takes over the results in a record; returns the tests that have one."""
        events = collections.defaultdict(list)
        for line in record.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if "test" in event:
                events[event["test"]].append(event)
        for name, happened in events.items():
            self.results[name] = outcome(happened)
        return set(events)


def outcome(events):
    """The result of a test, with all its parameters, setting up and cleaning up."""
    kinds = {kind: [event for event in events if event["event"] == kind] for kind in ("start", "passed", "failed", "skipped", "done")}
    seconds = round(sum(event.get("seconds", 0) for event in events), 2)
    if kinds["failed"]:
        return {"outcome": "failed", "reason": kinds["failed"][0]["reason"], "seconds": seconds}
    if len(kinds["done"]) < len(kinds["start"]):
        return {"outcome": "failed", "reason": "it was stuck, and was killed", "seconds": seconds}
    if kinds["skipped"] and not kinds["passed"]:
        return {"outcome": "skipped", "reason": kinds["skipped"][0]["reason"], "seconds": seconds}
    return {"outcome": "passed", "reason": "", "seconds": seconds}


def about(python):
    versions = subprocess.run([python, "-c", "import boto3; print(boto3.__version__)"], capture_output=True, text=True, check=True)
    return {"revision": REVISION, "boto3": versions.stdout.strip(), "server": "Undercroft",
            "document": os.path.relpath(DIFFERENCES, HERE)}


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options = arguments()
    suite, python = checkout(), interpreter()
    work = Path(tempfile.mkdtemp(prefix="s3tests-"))
    words = options.k.split(",")
    names = {name: group for name, group in groups.tests(suite).items() if any(word in name or word == group for word in words)}
    if not names:
        sys.exit(f"no test and no group is called {options.k}")
    # What is built meanwhile must not change what is tested.
    program = shutil.copy(options.binary, work / "undercroft")
    runner = Runner(options, suite, python, program, work)
    runner.run(names)
    results = {name: {"group": group, **runner.results[name]} for name, group in names.items()}
    if not options.keep and not runner.troubles:
        shutil.rmtree(work)
    sys.exit(conclude(options, results, runner.troubles, about(python)))


def conclude(options, results, troubles, facts):
    """Prints the results, and writes those of a full run; returns the exit status."""
    lists = report.peers(HERE / "peers")
    explained = report.explanations(DIFFERENCES) if DIFFERENCES.exists() else {}
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    document, lost = HERE / "results.md", []
    if document.exists():
        lost = sorted(name for name in report.passed_before(document) & set(results) if results[name]["outcome"] != "passed")
    if options.k:
        for name, result in results.items():
            print(f"{result['outcome']:8}{name}  {result['reason']}")
    else:
        document.write_text(report.render(results, lists, explained, facts), encoding="utf-8")
    print(report.table(results, lists))
    for name in lost:
        print(f"passed before, not now: {name}: {results[name]['reason']}")
    for trouble in troubles:
        print(trouble)
    return 1 if lost or troubles else 0


if __name__ == "__main__":
    main()
