package main

const jobUsageText = `Watch and steer the background jobs of a running server.

Usage: undercroft admin jobs|pause|resume|repair|scrub|compact|lifecycle [ARGUMENTS] [FLAGS]

The server keeps itself in order: it collects what was deleted, seals full partitions,
gives their space back, rebuilds what was lost, reads everything now and then, and moves
what is left of partitions that are mostly garbage. Nothing here is needed for that; it is
there to see how far the work is, and to choose when it is done.

Commands
  jobs
      List all jobs: what they are at, when they last did something, how far they are.
      STATE is running, resting (there is nothing to do), paused, pausing (paused when its
      step has ended), failed (and tried again), or elsewhere (in another process).
  pause JOB
  resume JOB
      Stop a job until it is resumed; that is kept over restarts. "all" stands for all of
      them. A job that was paused by its own name stays so when all are resumed. A paused
      repair leaves data less safe, a paused collect or reclaim lets the disks fill.
  repair [--now] [--watch]
      Show whether every partition is whole, and which shards are left and why.
      --now does not wait for disks that may come back, and tries again what failed.
  scrub [--now] [--watch]
      Show how far the reading of all data is. --now begins a round at once.
  compact [--now] [--watch]
      Show how far compaction is. --now looks at once for what is worth it.
  lifecycle [--now] [--watch]
      Show how far the round over the buckets with lifecycle rules is, and what the last one
      did. --now begins one at once; they begin by themselves after midnight UTC.

--watch shows progress and the time that is left, until there is nothing more to do, and then
ends with 0. For repair that means that every partition is whole: if that cannot be
reached now it says which shards are left and why, and ends with 1. It also ends with 1 when
the job is paused, or with ctrl-C, which does not stop the job. The time left follows from the
speed of the last minutes. On a terminal one line is rewritten; else there is a line for each
change, with --json a document.

While requests are served, jobs that move much data work a quarter of the time
(--background-share of the server), and never faster than their --repair-bandwidth,
--scrub-bandwidth and --compact-bandwidth.

` + commonFlagsText + `
Examples
  undercroft admin jobs --data ./data
  undercroft admin repair --now --watch --data ./data
  undercroft admin pause compact --data ./data
`
