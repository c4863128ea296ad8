package config

// Ownership is the object ownership of new buckets, in the words of S3.
type Ownership string

// The ownerships.
const (
	BucketOwnerEnforced  Ownership = "BucketOwnerEnforced"
	BucketOwnerPreferred Ownership = "BucketOwnerPreferred"
	ObjectWriter         Ownership = "ObjectWriter"
)

// Switch is on or off.
type Switch string

// The positions of a switch.
const (
	On  Switch = "on"
	Off Switch = "off"
)

// NewBuckets is how buckets begin. It changes none that is there.
type NewBuckets struct {
	// ObjectOwnership is that of buckets whose creator names none.
	ObjectOwnership Ownership
	// PublicAccessBlock is all on, or not there.
	PublicAccessBlock Switch
	// Most is how many buckets an account may have.
	Most int
}

func newBucketOptions(c *Config) []option {
	const g = groupNewBuckets
	return []option{
		{
			"object-ownership", g, "OWNERSHIP", "BucketOwnerEnforced", "Who owns what is written into new buckets, unless their creator says: " +
				"BucketOwnerEnforced (no ACLs), BucketOwnerPreferred or ObjectWriter.",
			&choice[Ownership]{&c.NewBuckets.ObjectOwnership, []Ownership{BucketOwnerEnforced, BucketOwnerPreferred, ObjectWriter}},
		},
		{
			"public-access-block", g, "on|off", "on", "Whether new buckets refuse public ACLs and policies until their owner allows them.",
			&choice[Switch]{&c.NewBuckets.PublicAccessBlock, []Switch{On, Off}},
		},
		{
			"max-buckets", g, "N", "10000", "Buckets that an account may have; more are refused with TooManyBuckets.",
			&count{&c.NewBuckets.Most, 1, 1 << 30},
		},
	}
}
