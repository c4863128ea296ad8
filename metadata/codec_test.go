package metadata

import (
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func sampleID(b byte) (id [16]byte) {
	for i := range id {
		id[i] = b + byte(i)
	}
	return id
}

func sampleSlices() []Slice {
	owner := &Owner{Kind: OwnerPart, Bucket: 3, Upload: sampleID(9), Part: 12, Token: sampleID(40)}
	version := &Owner{Kind: OwnerVersion, Bucket: 3, Key: "a\x00b", Ord: 77}
	return []Slice{
		{ID: sampleID(1), Length: 5 << 30},
		{ID: sampleID(2), Offset: 10, Length: 1, Owner: owner},
		{ID: sampleID(3), Offset: 1 << 40, Length: 2, Owner: owner},
		{ID: sampleID(4), Length: 9},
		{ID: sampleID(5), Length: 9, Owner: version},
	}
}

func sampleObject() *Object {
	return &Object{
		Ord: 1_795_000_000_123_456, Suffix: 0x0123456789abcdef, Null: true, Size: 4096, Modified: at(1_795_000_000_123),
		ETag:       "900150983cd24fb0d6963f7d28e17f72",
		Checksums:  []Checksum{{Algorithm: "CRC64NVME", Type: "FULL_OBJECT", Value: "AAECAwQFBgc="}},
		Attributes: Attributes{ContentType: "application/octet-stream"},
		Owner:      strings.Repeat("0123456789abcdef", 4),
		Data: Data{Kind: DataExtents, ID: sampleID(1), Extents: []Extent{
			{Partition: 1 << 60, Stripe: 1 << 28, Height: 4224, Start: 0, Length: 4096},
		}},
		Token: sampleID(100),
	}
}

func fullObject() *Object {
	o := sampleObject()
	o.ETag = "900150983cd24fb0d6963f7d28e17f72-3"
	o.Parts = 3
	o.DeleteMarker = true
	o.Checksums = append(o.Checksums, Checksum{Algorithm: "SHA256", Type: "COMPOSITE", Value: "x-3"}, Checksum{Algorithm: "XXH3", Type: "ODD", Value: "v"})
	o.Data = Data{Kind: DataRows, ID: sampleID(5), Shared: true, Extents: []Extent{
		{Partition: 7, Stripe: 4096, Height: 65532, Start: 0, Length: 100},
		{Partition: 7, Stripe: 1 << 40, Height: 1, Start: 1<<32 - 1, Length: 1},
		{Partition: 1<<64 - 1, Stripe: 0, Height: 524288, Start: 5, Length: 4 << 20},
	}}
	o.Attributes = Attributes{
		ContentType: "text/plain", CacheControl: "no-cache", ContentDisposition: "inline", ContentEncoding: "gzip",
		ContentLanguage: "de", Expires: "0", StorageClass: "GLACIER",
		User: []Pair{{"a", "0123456789abcdef0123"}, {"b", ""}, {"c", "é"}},
	}
	return o
}

func grantedObject() *Object {
	return &Object{
		Ord: 1, Tags: []Pair{{"team", "blue"}, {"x", ""}},
		ACL: []Grant{
			{Type: GranteeUser, ID: strings.Repeat("ab", 32), Permission: PermissionFullControl},
			{Type: GranteeGroup, ID: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: PermissionRead},
		},
	}
}

func redirecting() *Object {
	return &Object{Ord: 1, Attributes: Attributes{WebsiteRedirect: "/new"}}
}

func encryptedObject() *Object {
	return &Object{
		Ord: 1, Size: 5, Data: Data{Kind: DataInline, ID: sampleID(1)},
		Encryption: &Encryption{
			Mode: EncryptedKMS, KeyID: "team/blue", DataKey: []byte("data key"), Sealed: []byte("object key"),
			Context: []byte(`{"a":"b"}`), BucketKey: true,
		},
	}
}

func sampleTally(n int64) ScrubTally {
	return ScrubTally{Partitions: n, Stripes: n + 1, Frames: n + 2, Bytes: n + 3, Damaged: n + 4, Passed: n + 5, Mismatched: n + 6, Unreadable: n + 7}
}

// codecCase is a record with its encoding, for all tests of the codec.
type codecCase struct {
	name   string
	record any
	value  []byte
	decode func([]byte) (any, error)
	golden string
}

func erase[T any](decode func([]byte) (T, error)) func([]byte) (any, error) {
	return func(v []byte) (any, error) { return decode(v) }
}

func codecCases() []codecCase {
	bucket := &Bucket{Name: "photos", Owner: strings.Repeat("ab", 32), Region: "us-east-1", Created: at(1), Versioning: VersioningSuspended, Token: sampleID(8)}
	upload := &Upload{Initiated: at(1_795_000_000_000), Owner: "me", Attributes: Attributes{ContentType: "a/b", User: []Pair{{"k", "v"}}}, Checksum: Checksum{Algorithm: "SHA1", Type: "COMPOSITE"}, Token: sampleID(7)}
	begun := &Upload{Owner: "me", Initiator: "you"}
	sealed := &Upload{Owner: "me", Encryption: &Encryption{Mode: EncryptedC, Sealed: []byte("object key")}}
	part := &Part{Size: 5 << 20, Modified: at(2), ETag: strings.Repeat("0f", 16), Checksums: sampleObject().Checksums, Slices: sampleSlices(), Token: sampleID(6)}
	written := &Partition{State: PartitionOpen, Epoch: 3, K: 1, Secret: sampleID(3), Shards: []DiskID{sampleID(1)}, Capacity: 1 << 30, Created: at(1), Writer: HolderID(sampleID(7))}
	partition := &Partition{State: PartitionSealed, Epoch: 1<<32 - 1, K: 2, M: 1, Secret: sampleID(3), Shards: []DiskID{sampleID(1), sampleID(2), sampleID(3)}, Lost: []uint8{0, 2}, Capacity: 1 << 30, End: 8192, Class: "STANDARD", Created: at(-5), Damaged: []uint8{1}}
	disk := &Disk{State: DiskDraining, Path: "/mnt/d1", Added: at(9), Parity: 2}
	job := &Job{Paused: true, Holder: sampleID(7), Run: 4, Ran: 3, Cursor: []byte("here"), Last: JobResult{Ended: at(17), Did: 12, Error: "disk /mnt/d1: gone"}}
	holder := &Holder{Stamp: 300}
	intent := &Intent{Created: at(10), Bucket: 4}
	garbage := &Garbage{Kind: GarbageUpload, Bucket: 5, Added: at(11)}
	manifest := []ManifestPart{{Number: 1, Size: 9, Slices: sampleSlices()}, {Number: 10000, Size: 0, Checksums: sampleObject().Checksums}}
	row := newRecord(64)
	for i := range manifest {
		encodeManifestPart(row, &manifest[i])
	}
	account := &Account{Canonical: strings.Repeat("ab", 32), Name: "Main", Email: "Main@x.org", Created: at(12), Disabled: true}
	user := &User{ID: "AIDA1", Display: "Bob", Email: "b@x.org", Created: at(13), Disabled: true, Policy: []byte(`{"Version":"2012-10-17"}`)}
	key := &AccessKey{Account: "000000000001", User: "bob", MasterKey: 0x0102030405060708, Sealed: []byte("sealed"), Created: at(14), Rotated: at(15), Disabled: true, Description: "laptop"}
	canonical := &CanonicalName{Account: "000000000001", Deleted: at(16)}
	master := &MasterKey{Check: []byte("check")}
	number := "000000000001"
	scrubbed := &Scrubbed{Looked: at(17), Verified: at(-18), Found: sampleTally(1), Began: at(19), Next: 1 << 40, Current: sampleTally(300), Round: 20, Walk: 21}
	round := &ScrubRound{Started: at(22), Ended: at(23), Hurry: true, Tally: sampleTally(25), Last: ScrubTally{Frames: 1}, Number: 26}
	id := cluster{format: 1, id: sampleID(1)}
	copied := cluster{format: 1, id: sampleID(1), copy: sampleID(3)}
	local := sampleEncryptionKey()
	return []codecCase{
		{"object", sampleObject(), encodeObject(sampleObject()), erase(decodeObject), goldenObject},
		{"object with everything", fullObject(), encodeObject(fullObject()), erase(decodeObject), goldenFullObject},
		{"object that redirects", redirecting(), encodeObject(redirecting()), erase(decodeObject), goldenRedirecting},
		{"object with tags and grants", grantedObject(), encodeObject(grantedObject()), erase(decodeObject), goldenGranted},
		{"locked object", lockedObject(), encodeObject(lockedObject()), erase(decodeObject), goldenLocked},
		{"locked upload", heldUpload(), encodeUpload(heldUpload()), erase(decodeUpload), goldenHeldUpload},
		{"bucket with object lock", lockBucket(), encodeBucket(lockBucket()), erase(decodeBucket), goldenLockBucket},
		{"bucket with object lock alone", &Bucket{ObjectLock: &ObjectLock{}}, encodeBucket(&Bucket{ObjectLock: &ObjectLock{}}), erase(decodeBucket), "013900"},
		{"encrypted object", encryptedObject(), encodeObject(encryptedObject()), erase(decodeObject), goldenEncrypted},
		{"no object", &Object{}, encodeObject(&Object{}), erase(decodeObject), "01"},
		{"bucket", bucket, encodeBucket(bucket), erase(decodeBucket), goldenBucket},
		{"upload", upload, encodeUpload(upload), erase(decodeUpload), goldenUpload},
		{"upload of another", begun, encodeUpload(begun), erase(decodeUpload), "0111026d652903796f75"},
		{"encrypted upload", sealed, encodeUpload(sealed), erase(decodeUpload), goldenSealed},
		{"part", part, encodePart(part), erase(decodePart), goldenPart},
		{"manifest", manifest, row.b, erase(decodeManifest), goldenManifest},
		{"partition", partition, encodePartition(partition), erase(decodePartition), goldenPartition},
		{"partition of a writer", written, encodePartition(written), erase(decodePartition), goldenWritten},
		{"disk", disk, encodeDisk(disk), erase(decodeDisk), goldenDisk},
		{"intent", intent, encodeIntent(intent), erase(decodeIntent), goldenIntent},
		{"garbage", garbage, encodeGarbage(garbage), erase(decodeGarbage), goldenGarbage},
		{"job", job, encodeJob(job), erase(decodeJob), goldenJob},
		{"holder", holder, encodeHolder(holder), erase(decodeHolder), "0108ac02"},
		{"account", account, encodeAccount(account), erase(decodeAccount), goldenAccount},
		{"user", user, encodeUser(user), erase(decodeUser), goldenUser},
		{"access key", key, encodeAccessKey(key), erase(decodeAccessKey), goldenAccessKey},
		{"canonical id", canonical, encodeCanonicalName(canonical), erase(decodeCanonicalName), goldenCanonicalName},
		{"e-mail address", &number, encodeAccountID(number), erase(decodeAccountID), goldenEmail},
		{"master key", master, encodeMasterKey(master), erase(decodeMasterKey), goldenMasterKey},
		{"scrubbed", scrubbed, encodeScrubbed(scrubbed), erase(decodeScrubbed), goldenScrubbed},
		{"scrub round", round, encodeScrubRound(round), erase(decodeScrubRound), goldenScrubRound},
		{"encryption key", local, encodeEncryptionKey(local), erase(decodeEncryptionKey), goldenEncryptionKey},
		{"bucket name", BucketID(1 << 63), encodeBucketID(1 << 63), erase(decodeBucketID), "010b8000000000000000"},
		{"null version", Ord(300), encodeOrd(300), erase(decodeOrd), "0108ac02"},
		{"cluster", id, encodeCluster(id), erase(decodeCluster), "01080111100102030405060708090a0b0c0d0e0f10"},
		{"cluster with a copy", copied, encodeCluster(copied), erase(decodeCluster), "01080111100102030405060708090a0b0c0d0e0f101910030405060708090a0b0c0d0e0f101112"},
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	for _, c := range codecCases() {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.decode(c.value)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.record, got, cmp.AllowUnexported(cluster{})); diff != "" {
				t.Errorf("decoded differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRecordsKeepTheirFormat pins the bytes on disk: a difference here breaks
// every existing state.
func TestRecordsKeepTheirFormat(t *testing.T) {
	for _, c := range codecCases() {
		if got := hex.EncodeToString(c.value); got != c.golden {
			t.Errorf("%s is encoded as\n%s, want\n%s", c.name, got, c.golden)
		}
	}
}

func TestPlainObjectIsSmall(t *testing.T) {
	if n := len(encodeObject(sampleObject())); n > 250 {
		t.Errorf("a plain object takes %d bytes, at most 250 are allowed", n)
	}
}

func TestRecordsCutShortOrAlteredNeverPanic(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range codecCases() {
		for n := range c.value {
			_, _ = c.decode(c.value[:n])
		}
		for range 2000 {
			v := append([]byte(nil), c.value...)
			for range 1 + rng.IntN(3) {
				v[rng.IntN(len(v))] = byte(rng.Uint32())
			}
			if _, err := c.decode(v); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s %x: error %v is not ErrCorrupt", c.name, v, err)
			}
		}
	}
}

func TestUnknownFields(t *testing.T) {
	e := newRecord(64)
	e.uint(diskState, uint64(DiskActive))
	known := len(e.b)
	e.key(30, wireVarint)
	e.b = append(e.b, 5)
	if _, err := decodeDisk(e.b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("an unknown field that is not ignorable: error %v, want ErrCorrupt", err)
	}
	e.b = e.b[:known]
	e.key(30, wireBytes|ignorable)
	e.b = append(e.b, 2, 'h', 'i')
	got, err := decodeDisk(e.b)
	if err != nil || got.State != DiskActive {
		t.Errorf("an ignorable unknown field: %+v, error %v", got, err)
	}
}

func TestRecordsRefuse(t *testing.T) {
	for name, v := range map[string]string{
		"nothing":             "",
		"another format":      "02",
		"fields out of order": "012001" + "0801",
		"field zero":          "010001",
		"endless varint":      "0108ffffffffffffffffffff01",
		"wrong wire type":     "010b0000000000000001",
		"length past the end": "013105aa",
		"state unknown":       "010863",
	} {
		b, err := hex.DecodeString(v)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := decodePartition(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: decoded %+v with error %v, want ErrCorrupt", name, p, err)
		}
	}
}

func TestTextsAreSharedWithTheRowBefore(t *testing.T) {
	value := encodeObject(sampleObject())
	known := strings.Repeat("0123456789abcdef", 4)
	d := openRecord(value)
	for d.next() {
		if d.field != objectOwner {
			continue
		}
		if got := d.textLike(known); got != known {
			t.Errorf("owner %q, want %q", got, known)
		}
		if n := testing.AllocsPerRun(10, func() { _ = d.textLike(known) }); n != 0 {
			t.Errorf("a known text costs %v allocations", n)
		}
	}
}

func FuzzRecords(f *testing.F) {
	cases := codecCases()
	for i, c := range cases {
		f.Add(uint8(i), c.value)
	}
	f.Fuzz(func(t *testing.T, which uint8, v []byte) {
		c := cases[int(which)%len(cases)]
		got, err := c.decode(v)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v is not ErrCorrupt", err)
			}
			return
		}
		again := encodeAny(got)
		if again == nil {
			return
		}
		twice, err := c.decode(again)
		if err != nil {
			t.Fatalf("%x decodes to %+v, whose encoding %x fails: %v", v, got, again, err)
		}
		if diff := cmp.Diff(got, twice); diff != "" {
			t.Fatalf("encoding %+v again differs:\n%s", got, diff)
		}
	})
}

func encodeAny(record any) []byte {
	switch r := record.(type) {
	case *Object:
		return encodeObject(r)
	case *Bucket:
		return encodeBucket(r)
	case *Upload:
		return encodeUpload(r)
	case *Part:
		return encodePart(r)
	case *Partition:
		return encodePartition(r)
	case *Disk:
		return encodeDisk(r)
	case *Intent:
		return encodeIntent(r)
	case *Garbage:
		return encodeGarbage(r)
	case *Job:
		return encodeJob(r)
	case *Holder:
		return encodeHolder(r)
	case *Account:
		return encodeAccount(r)
	case *User:
		return encodeUser(r)
	case *AccessKey:
		return encodeAccessKey(r)
	case *CanonicalName:
		return encodeCanonicalName(r)
	case *MasterKey:
		return encodeMasterKey(r)
	case *Scrubbed:
		return encodeScrubbed(r)
	case *EncryptionKey:
		return encodeEncryptionKey(r)
	case *ScrubRound:
		return encodeScrubRound(r)
	default:
		return nil
	}
}
