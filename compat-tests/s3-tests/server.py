"""One Undercroft server with the accounts that the suite wants."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

DISKS = 4
START_SECONDS = 30
STOP_SECONDS = 60

# What the suite expects of a server, where AWS's defaults are stricter: buckets
# have ACLs and no public access block unless a test asks for it, and some tests
# sign with version 2. Ceph allows an account a thousand buckets. The tests of lifecycle
# rules want days of a few seconds, and classes that objects move between in any order.
STORAGE_CLASSES = ("LUKEWARM", "FROZEN")
LIFECYCLE_DAY_SECONDS = 5
SETTINGS = (*(word for name in STORAGE_CLASSES for word in ("--storage-class", name)),
            "--lifecycle-debug-interval", f"{LIFECYCLE_DAY_SECONDS}s", "--allow-sigv2", "--object-ownership", "ObjectWriter", "--public-access-block", "off", "--max-buckets", "1000")

ROOT_ACCESS, ROOT_SECRET = "s3tests-root-access", "s3tests-root-secret-0123456789abcdef"

# Section of the suite's configuration -> name of its account. An account is
# what the suite calls a user.
ACCOUNTS = {
    "s3 main": "main", "s3 alt": "alt", "s3 tenant": "tenant",
    "iam": "iam", "iam root": "iamroot", "iam alt root": "iamaltroot",
}


def free_ports(count):
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


# The keys of SSE-KMS that the suite names by itself, or asks its configuration for.
KMS_KEYS = ("testkey-1", "testkey-2")


class Server:
    """A server on fresh directories below a directory of its own."""

    def __init__(self, binary, directory, region="us-east-1"):
        self.binary, self.directory, self.region = binary, Path(directory), region
        self.directory.mkdir(parents=True)
        self.port, self.admin_port = free_ports(2)
        self.log_path = self.directory / "server.log"
        self.config_path = self.directory / "s3tests.conf"
        self.process = None

    def __enter__(self):
        self._launch()
        try:
            self._configure({section: self._account(name) for section, name in ACCOUNTS.items()})
            for name in KMS_KEYS:
                self._admin("keys", "create", name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self):
        """Stops it and goes through what it stored; returns what is wrong, or None."""
        wrong = None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                wrong = "still running after SIGTERM"
        else:
            wrong = "it was gone before the tests were"
        if wrong is None and self.process.returncode != 0:
            wrong = f"exit status {self.process.returncode}"
        if wrong is None:
            check = subprocess.run([self.binary, "admin", "check", *self._data()], env=self._env(),
                                   capture_output=True, text=True, check=False)
            if check.returncode != 0:
                wrong = f"admin check: {check.stdout.strip()} {check.stderr.strip()}"
        if wrong is not None:
            wrong += "\n" + self.log_path.read_text(errors="replace")[-4000:]
        return wrong

    def _env(self):
        return {**os.environ, "UNDERCROFT_ROOT_ACCESS_KEY": ROOT_ACCESS, "UNDERCROFT_ROOT_SECRET_KEY": ROOT_SECRET}

    def _data(self):
        return [word for disk in range(DISKS) for word in ("--data", str(self.directory / f"disk{disk}"))]

    def _launch(self):
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [self.binary, "server", *self._data(), *SETTINGS, "--region", self.region,
                 "--listen", f"127.0.0.1:{self.port}", "--admin-listen", f"127.0.0.1:{self.admin_port}"],
                env=self._env(), stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError("the server did not start:\n" + self.log_path.read_text(errors="replace"))
            time.sleep(0.05)

    def _ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/-/readyz", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def _admin(self, *command):
        """Administers the server; returns what is printed."""
        done = subprocess.run([self.binary, "admin", *command, "--admin", f"http://127.0.0.1:{self.admin_port}", *self._data()],
                              env=self._env(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def _account(self, name):
        """Creates an account; returns what the suite's configuration says of it."""
        email = f"{name}@s3tests.example"
        account = json.loads(self._admin("account", "create", "--name", name, "--email", email, "--json"))
        return {"display_name": name, "email": email, "user_id": account["canonicalId"],
                "access_key": account["key"]["accessKey"], "secret_key": account["key"]["secretKey"]}

    def _configure(self, sections):
        sections = {
            "DEFAULT": {"host": "127.0.0.1", "port": self.port, "is_secure": False, "ssl_verify": False},
            "fixtures": {"bucket prefix": "s3tests-{random}-"},
            **sections,
            "webidentity": dict.fromkeys(("token", "aud", "sub", "azp", "user_token", "thumbprint", "KC_REALM"), "none"),
        }
        sections["s3 main"] |= {"storage_classes": ", ".join(STORAGE_CLASSES), "lc_debug_interval": LIFECYCLE_DAY_SECONDS,
                                "kms_keyid": KMS_KEYS[0], "kms_keyid2": KMS_KEYS[1]}
        # The location constraint us-east-1 does not exist: its buckets have none.
        if self.region != "us-east-1":
            sections["s3 main"]["api_name"] = self.region
        sections["s3 tenant"]["tenant"] = "tenant"
        self.config_path.write_text("".join(
            f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in section.items()) + "\n"
            for name, section in sections.items()), encoding="utf-8")
