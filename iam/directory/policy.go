package directory

import (
	"fmt"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/metadata"
)

// maxPolicy bounds an inline policy, in bytes as it is kept, white space
// included; the parser bounds it without.
const maxPolicy = 64 << 10

// checkPolicy refuses an inline policy that is too long or not understood.
func checkPolicy(document string) error {
	switch {
	case document == "":
		return nil
	case len(document) > maxPolicy:
		return fmt.Errorf("%w: a policy has at most %d bytes", iam.ErrInvalid, maxPolicy)
	}
	if _, err := iam.ParseIdentityPolicy([]byte(document)); err != nil {
		return fmt.Errorf("%w: %w", iam.ErrInvalid, err)
	}
	return nil
}

// policiesOf returns the policies of a user. One that is not understood, as
// that of a newer program, is an error: it may hold a denial.
func policiesOf(u *metadata.User) ([]*iam.Policy, error) {
	if len(u.Policy) == 0 {
		return nil, nil
	}
	policy, err := iam.ParseIdentityPolicy(u.Policy)
	if err != nil {
		return nil, fmt.Errorf("the policy of user %s of account %s: %w", u.Name, u.Account, err)
	}
	return []*iam.Policy{policy}, nil
}
