// Package steward frees, in the background, what nothing refers to any more.
//
// Deletes, overwrites, aborts and crashes leave rows and stripes behind; the
// steward's jobs take them away: collect frees data ids, manifests and uploads
// that a row G names, intents ends writes that nobody finished, seal turns
// full partitions into sealed ones, tokens forgets those of old requests, reclaim drops sealed partitions without
// references and punches the dead stripes of the others, repair rebuilds shards that
// were lost or damaged, scrub reads everything to find those, compact moves blobs
// that take more space than they need. A [Job] does a bounded
// piece of work in one Step and keeps nothing but a hint of where to go on: a
// crash between any two transactions loses nothing and leaves nothing that a
// later Step does not find.
//
// # Why nothing that is alive is freed
//
// An id is owned by its home, or by rows K. A home that gives up writes the
// marker K id 0x00 in the transaction that clears it, and a home that is gone
// never comes back. An owner is added only by a transaction that reads,
// serializably, a row that owns the id at that moment, and writes a row K (Pin).
// The collector reads all rows K of the id serializably and acts when the
// marker is the only one. Let C be that transaction and P one that pins the id.
// If P commits before C, then C sees its row K, or conflicts with it. If P
// commits after C, then the row that P read owned the id after C, though
// C saw that nothing did: the row was cleared before C, and P, which read it
// serializably, conflicts. So from C on, nobody owns the id, and nobody will:
// what is freed after C in other transactions needs no second look at owners,
// and takes one all the same. The same holds for the slices of a manifest, which
// are owned while the manifest is: each is given up in the transaction that
// deletes its row Y, so it is given up once.
//
// The trigger G is written again by whoever releases, and read serializably here:
// clearing it never hides a release that C did not see.
//
// A write under an intent publishes in a transaction that requires the intent. The
// steward deletes the intent and gives up the data in one transaction: the
// publication has committed before, and then there is no intent, or it fails.
// What a slow writer adds to the id requires the intent too, so the id is
// complete when the collector meets it. Age chooses when to look at an intent, or
// at garbage; it never decides.
//
// A stripe that has no row R in a sealed partition gets none any more, since
// publishing requires a partition that is open or closing: its space is free
// by state. A partition is dropped in a transaction that reads its range R
// serializably and finds it empty, before any of its files goes.
//
// A reader that is under way in data that is freed meets frames that do not
// verify, or no shard at all: it gets an error, or the right bytes, never
// others. Garbage rests for a while (Options.Grace) so that this is rare.
//
// # Why repair loses nothing
//
// Only sealed partitions are repaired: which of their stripes are referenced only
// shrinks, and bytes at an offset never change, so a frame that verifies is
// right whenever and wherever it was read. A repair raises the partition's epoch
// before it writes and again when the row is changed to count on what was
// written, and requires its own epoch then: of several, one counts. The file
// carries the repair's epoch, and a superseded one is removed only if its epoch is lower
// than that of the row: what a later repair wrote in the same place stays. A repair
// that cannot rebuild every referenced frame changes nothing while the old
// shard may come back. Delays choose when to repair; they never decide.
//
// # Why compaction loses nothing
//
// A blob is read with its checksums from a sealed partition, whose bytes never change,
// and written to an open one like any other. One transaction then changes the row that
// names the extent. It reads that row serializably and requires the old extent; it
// publishes like every write, so the new place cannot have been sealed without it;
// it moves the reference and the live bytes. Whoever frees, copies or overwrites the
// data reads or writes that same row, so of the two one comes first: after a
// release the rows E are still there, and what was moved is freed where it is now; after
// they were freed, the old extent is not found. What names an extent is either rows
// E of the id, or the row of a version of the key in the stripe's directory,
// and moves to rows E when it is swapped (docs/adr/0007). After an unknown outcome nothing is
// applied again: the rows say what is so, and what they do not name is garbage by
// state. A reader that finds the old place gone reads the rows E of the same id.
//
// Tokens of requests that left no other row are forgotten after minutes: each is
// asked for once, by the request itself, right after its commit.
//
// # Who runs what
//
// Lifecycle, which internal/single adds to these jobs, decides nothing: objects says what the rules of a
// bucket want, again in the transaction that does it. The job chooses when and how fast, and remembers how far it is.
//
// A loop runs its job while this process has the job's lease and the administrator has not
// paused it; both are in the job's row j. A lease chooses who works and protects nothing: what is
// said above holds with any number of processes at the same work. What only the process can do that wrote, or saw, is [Homework]:
// each does it beside the one that has the job. Bulk I/O goes through a pace, which
// bounds it, lets requests go first, and ends the step of a job that was paused.
//
// Only internal/single and cmd may import it.
package steward
