package gateway

import (
	"context"

	"github.com/undercroft/undercroft/iam"
)

// rootAccounts knows the root account and no other.
type rootAccounts struct{}

var _ iam.Accounts = rootAccounts{}

// ByEmail implements [iam.Accounts].
func (rootAccounts) ByEmail(context.Context, string) (iam.Account, error) {
	return iam.Account{}, iam.ErrNoSuchAccount
}

// ByCanonicalID implements [iam.Accounts].
func (rootAccounts) ByCanonicalID(_ context.Context, id iam.CanonicalID) (iam.Account, error) {
	root := iam.RootIdentity()
	if id != root.CanonicalID {
		return iam.Account{}, iam.ErrNoSuchAccount
	}
	return iam.Account{ID: root.AccountID, CanonicalID: id, Name: root.DisplayName}, nil
}

// DisplayName implements [iam.Accounts].
func (a rootAccounts) DisplayName(ctx context.Context, id iam.CanonicalID) (string, error) {
	account, err := a.ByCanonicalID(ctx, id)
	if err != nil {
		return "", nil //nolint:nilerr // who is not there has no name
	}
	return account.Name, nil
}
