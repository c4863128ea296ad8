package main

const diskUsageText = `Add, drain and remove the disks of a running server.

Usage: undercroft admin disk list|add|drain|remove [ARGUMENTS] [FLAGS]

Nothing needs a restart. PATH is an absolute path on the server's machine. DISK is a
disk's id, or the path where it is or was last.

Commands
  disk list
      List the disks: STATE is active, draining, missing (its directory was not there at the
      start) or failed (it was, and does not work since), and why; METADATA says which
      hold all of the metadata.
  disk add PATH
      Make an empty directory a disk, or take back the one that it holds. It is used at once.
      The next start needs it: add it to --data. A directory that is empty is formatted also
      while a known disk is missing: see that it is mounted.
  disk drain DISK [--watch] [--cancel]
      Take everything off a disk while it serves: nothing new is placed there, its shards
      are moved to the others one after the other, and another directory takes the metadata over.
      Where every other disk holds a shard of the same partition, what that holds is written
      anew with fewer data shards. It is refused where the others have no room for all this.
      --watch shows how far that is and ends with 0 when the disk may be removed;
      --cancel uses the disk again, and leaves what was moved where it is.
  disk remove DISK [--lost]
      Forget a disk that was drained. --lost forgets one that is missing or failed and will not
      come back: its shards are rebuilt at once. That is refused where objects would be lost
      by it.
  drain DISK [--watch] [--cancel]
      The same as disk drain.

docs/operations/disks.md says step by step how to replace a disk, to grow, to shrink and
to move to other hardware.

` + commonFlagsText + `
Examples
  undercroft admin disk list --data /mnt/d1
  undercroft admin disk add /mnt/d7 --data /mnt/d1
  undercroft admin disk drain /mnt/d3 --watch --data /mnt/d1
  undercroft admin disk remove /mnt/d3 --data /mnt/d1
`
