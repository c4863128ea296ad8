package iam

// NewAccount asks for an account.
type NewAccount struct {
	// ID is the number it shall have; empty for a random one.
	ID    AccountID `json:"id,omitempty"`
	Name  string    `json:"name"`
	Email string    `json:"email,omitempty"`
	// Key is the access key of its root that is created with it; nil for none.
	Key *NewKey `json:"key,omitempty"`
}

// NewUser asks for a user.
type NewUser struct {
	Name        string `json:"name"`
	DisplayName string `json:"displayName,omitempty"`
	Email       string `json:"email,omitempty"`
	Policy      string `json:"policy,omitempty"`
}

// NewKey asks for an access key. Account and User are ignored where the owner
// is known already.
type NewKey struct {
	// Account is the number, canonical id or e-mail address of an account.
	Account string `json:"account,omitempty"`
	// User is empty for the account's root.
	User string `json:"user,omitempty"`
	// AccessKey and Secret are generated where they are empty.
	AccessKey   string `json:"accessKey,omitempty"`
	Secret      string `json:"secretKey,omitempty"`
	Description string `json:"description,omitempty"`
}

// KeyPair is an access key with its secret: what is shown once.
type KeyPair struct {
	AccessKey
	Secret string `json:"secretKey"`
}

// CreatedAccount is a new account with the access key that was asked for.
type CreatedAccount struct {
	Account
	Key *KeyPair `json:"key,omitempty"`
}

// AccountChange says what to change of an account; nil leaves it.
type AccountChange struct {
	Name     *string `json:"name,omitempty"`
	Email    *string `json:"email,omitempty"`
	Disabled *bool   `json:"disabled,omitempty"`
}

// UserChange says what to change of a user; nil leaves it.
type UserChange struct {
	DisplayName *string `json:"displayName,omitempty"`
	Email       *string `json:"email,omitempty"`
	Disabled    *bool   `json:"disabled,omitempty"`
	// Policy replaces the inline policy; empty removes it.
	Policy *string `json:"policy,omitempty"`
}

// KeyChange says what to change of an access key; nil leaves it.
type KeyChange struct {
	Disabled    *bool   `json:"disabled,omitempty"`
	Description *string `json:"description,omitempty"`
}

// Page asks for a part of a list.
type Page struct {
	// After is the last name that is not wanted any more; empty for the first page.
	After string
	// Limit is the most that is returned; 0 for the server's own.
	Limit int
}
