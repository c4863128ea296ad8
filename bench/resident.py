"""Samples the memory of a server and of the processes beside it until it is ended.

resident.py PID BESIDE,… METRICS-URL SECONDS    prints a line for each sample
resident.py table                               makes them a table
"""
import sys
import time
import urllib.request

GO = ("go_memstats_heap_inuse_bytes", "go_memstats_sys_bytes", "go_memstats_heap_released_bytes", "go_goroutines", "undercroft_metadata_transactions_in_flight")


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS"))


def sample(pid, beside, url):
    values = dict.fromkeys(GO, 0.0)
    with urllib.request.urlopen(url, timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            name, _, value = line.partition(" ")
            if name in values:
                values[name] = float(value)
    heap, go_sys, released, routines, flying = (values[name] for name in GO)
    return resident(pid), heap, go_sys - released, sum(map(resident, beside)), routines, flying


def watch(pid, beside, url, seconds):
    began = time.monotonic()
    while True:
        print(round(time.monotonic() - began), *(round(v) for v in sample(pid, beside, url)), flush=True)
        time.sleep(seconds)


def table():
    print("| s | server resident | of it Go's heap in use | of it all of Go | the rest | fdbserver processes together | goroutines | transactions |")
    print("|---|---|---|---|---|---|---|---|")
    for line in sys.stdin:
        at, rss, heap, of_go, beside, routines, flying = map(int, line.split())
        mib = [round(v / 2**20) for v in (rss, heap, of_go, rss - of_go, beside)]
        print("|", " | ".join(map(str, [at, *mib, routines, flying])), "|")


if __name__ == "__main__":
    if sys.argv[1] == "table":
        table()
    else:
        watch(sys.argv[1], [p for p in sys.argv[2].split(",") if p], sys.argv[3], float(sys.argv[4]))
