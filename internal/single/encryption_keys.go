package single

import (
	"context"
	"time"

	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/steward"
)

// rewrapJob moves data keys to the newest versions of their keys.
func (s *System) rewrapJob(p keys.Providers) steward.Job {
	versions, _ := p.S3.(steward.KeyVersions) // what is not the local keyring has none to drop
	return steward.NewRewrap(s.DB, s.Objects, versions, s.opts.Logger)
}

// KeyUse is how much is sealed under a key.
type KeyUse struct {
	Objects int64 // versions of objects and uploads
	// Partial says that there may be more: counting took too long.
	Partial bool
}

// CountKeyUse counts what is sealed under a key, for a while at most.
func (s *System) CountKeyUse(ctx context.Context, name string, most time.Duration) (use KeyUse, err error) {
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err = s.DB.WalkEncrypted(limited, func(x *metadata.Encryption) (bool, error) {
		if x.KeyID == name || x.Mode == metadata.EncryptedS3 && name == keys.SSES3 {
			use.Objects++
		}
		return true, nil
	})
	if limited.Err() != nil && ctx.Err() == nil {
		use.Partial, err = true, nil
	}
	return use, err
}
