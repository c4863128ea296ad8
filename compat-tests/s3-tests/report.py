"""results.md: what passed, group by group, beside what the peers pass."""

import re
from pathlib import Path

import groups

PEERS = {"Ceph RGW": "ceph.txt", "RustFS": "rustfs.txt", "SeaweedFS": "seaweedfs.txt"}

HEADING = """# Ceph's s3-tests, revision {revision}

Written by `make s3-tests`; do not edit. {server} with boto3 {boto3}.

The peers' columns count the tests on which their own gates insist: Ceph's own list of what RGW is expected to pass, \
and the lists of RustFS and of SeaweedFS (which patches the suite). \
A test that passes counts only when its cleaning up worked too.

"""


def peers(directory):
    """{peer: set of test names} from the lists kept here."""
    return {peer: set(Path(directory, name).read_text(encoding="utf-8").split()) for peer, name in PEERS.items()}


def explanations(document):
    """{test: heading} from the Markdown that names tests below its headings."""
    found, heading = {}, ""
    for line in Path(document).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        for name in re.findall(r"`(test_\w+)`", line):
            found[name] = heading
    return found


def anchor(heading):
    """The anchor that GitHub and Gitea make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def passed_before(results):
    """The tests that the results.md of an earlier run counts as passed."""
    text = Path(results).read_text(encoding="utf-8")
    return set(re.search(r"<!-- passed:(.*?)-->", text, re.DOTALL).group(1).split())


def table(results, lists):
    """The rows of the groups that have a result, and their sum."""
    header = ["group", "tests", "passed", "failed", "skipped", "%", *lists]
    rows = []
    for group in groups.GROUPS:
        names = {name for name, result in results.items() if result["group"] == group}
        if names:
            rows.append([group, *counts(results, names), *(len(names & known) for known in lists.values())])
    everything = set(results)
    rows.append(["**all**", *counts(results, everything), *(len(everything & known) for known in lists.values())])
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def counts(results, names):
    outcomes = [results[name]["outcome"] for name in names]
    passed = outcomes.count("passed")
    return [len(names), passed, outcomes.count("failed"), outcomes.count("skipped"), f"{100 * passed / len(names):.0f}"]


def cell(text):
    """Text inside of a cell of a table."""
    return "`" + text.replace("`", "'").replace("|", "¦") + "`"


def failures(results, explained, document):
    """Everything that did not pass, by group, with its reason."""
    text = ""
    for group in groups.GROUPS:
        rest = [name for name, result in results.items() if result["group"] == group and result["outcome"] != "passed"]
        if not rest:
            continue
        text += f"\n### {group}\n\n| test | reason | explained |\n| --- | --- | --- |\n"
        for name in rest:
            result = results[name]
            reason = ("skipped: " if result["outcome"] == "skipped" else "") + result["reason"]
            heading = explained.get(name)
            why = f"[{heading}]({document}#{anchor(heading)})" if heading else "not built" if group in groups.UNBUILT else "no"
            text += f"| {name.removeprefix('test_')} | {cell(reason)} | {why} |\n"
    return text


def render(results, lists, explained, about):
    """All of results.md."""
    rest = failures(results, explained, about["document"])
    passed = sorted(name for name, result in results.items() if result["outcome"] == "passed")
    stale = sorted(set(explained) & set(passed))
    text = HEADING.format(**about) + table(results, lists) + "\n## What does not pass\n" + (rest or "\nNothing.\n")
    if stale:
        text += "\n## Explained as different, and passes\n\n" + "".join(f"- {name}\n" for name in stale)
    beyond = sorted(set(passed) - lists["Ceph RGW"])
    text += f"\n## Passes beyond Ceph's list\n\n{len(beyond)} tests.\n\n" + "".join(f"- {name}\n" for name in beyond)
    return text + "\n<!-- passed:\n" + "".join(f"{name}\n" for name in passed) + "-->\n"
