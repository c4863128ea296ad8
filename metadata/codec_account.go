package metadata

// Fields of an Account (rows I a).
const (
	accountCanonical = 1
	accountName      = 2
	accountEmail     = 3
	accountCreated   = 4
	accountFlags     = 5
)

// Fields of a User (rows I u).
const (
	userID      = 1
	userDisplay = 2
	userEmail   = 3
	userCreated = 4
	userFlags   = 5
	userPolicy  = 6
)

// Fields of an AccessKey (rows I k).
const (
	keyAccount     = 1
	keyUser        = 2
	keyMasterKey   = 3
	keySealed      = 4
	keyCreated     = 5
	keyFlags       = 6
	keyRotated     = 7
	keyDescription = 8
)

// Fields of the rows I c and I e, of which the second has the first alone.
const (
	nameAccount = 1
	nameDeleted = 2
)

// Field of a MasterKey (rows I m).
const masterKeyCheck = 1

// identityDisabled is the one flag of accounts, users and access keys.
const identityDisabled = 1

func encodeAccount(a *Account) []byte {
	e := newRecord(128)
	e.text(accountCanonical, a.Canonical)
	e.text(accountName, a.Name)
	e.text(accountEmail, a.Email)
	e.time(accountCreated, a.Created)
	if a.Disabled {
		e.uint(accountFlags, identityDisabled)
	}
	return e.b
}

// decodeAccount decodes the value of a row I a; ID is not in it.
func decodeAccount(v []byte) (*Account, error) {
	a := &Account{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case accountCanonical:
			a.Canonical = d.text()
		case accountName:
			a.Name = d.text()
		case accountEmail:
			a.Email = d.text()
		case accountCreated:
			a.Created = d.time()
		case accountFlags:
			a.Disabled = d.uint(identityDisabled) != 0
		default:
			d.unknown()
		}
	}
	return a, d.finish("account")
}

func encodeUser(u *User) []byte {
	e := newRecord(128 + len(u.Policy))
	e.text(userID, u.ID)
	e.text(userDisplay, u.Display)
	e.text(userEmail, u.Email)
	e.time(userCreated, u.Created)
	if u.Disabled {
		e.uint(userFlags, identityDisabled)
	}
	e.bytes(userPolicy, u.Policy)
	return e.b
}

// decodeUser decodes the value of a row I u; Account and Name are not in it.
func decodeUser(v []byte) (*User, error) {
	u := &User{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case userID:
			u.ID = d.text()
		case userDisplay:
			u.Display = d.text()
		case userEmail:
			u.Email = d.text()
		case userCreated:
			u.Created = d.time()
		case userFlags:
			u.Disabled = d.uint(identityDisabled) != 0
		case userPolicy:
			u.Policy = append([]byte(nil), d.bytes()...)
		default:
			d.unknown()
		}
	}
	return u, d.finish("user")
}

func encodeAccessKey(k *AccessKey) []byte {
	e := newRecord(160)
	e.text(keyAccount, k.Account)
	e.text(keyUser, k.User)
	e.fixed(keyMasterKey, k.MasterKey)
	e.bytes(keySealed, k.Sealed)
	e.time(keyCreated, k.Created)
	if k.Disabled {
		e.uint(keyFlags, identityDisabled)
	}
	e.time(keyRotated, k.Rotated)
	e.text(keyDescription, k.Description)
	return e.b
}

// decodeAccessKey decodes the value of a row I k; Key is not in it.
func decodeAccessKey(v []byte) (*AccessKey, error) {
	k := &AccessKey{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case keyAccount:
			k.Account = d.text()
		case keyUser:
			k.User = d.text()
		case keyMasterKey:
			k.MasterKey = d.fixed()
		case keySealed:
			k.Sealed = append([]byte(nil), d.bytes()...)
		case keyCreated:
			k.Created = d.time()
		case keyFlags:
			k.Disabled = d.uint(identityDisabled) != 0
		case keyRotated:
			k.Rotated = d.time()
		case keyDescription:
			k.Description = d.text()
		default:
			d.unknown()
		}
	}
	return k, d.finish("access key")
}

func encodeCanonicalName(n *CanonicalName) []byte {
	e := newRecord(24)
	e.text(nameAccount, n.Account)
	e.time(nameDeleted, n.Deleted)
	return e.b
}

func decodeCanonicalName(v []byte) (*CanonicalName, error) {
	n := &CanonicalName{}
	d := openRecord(v)
	for d.next() {
		switch d.field {
		case nameAccount:
			n.Account = d.text()
		case nameDeleted:
			n.Deleted = d.time()
		default:
			d.unknown()
		}
	}
	return n, d.finish("canonical id")
}

func encodeAccountID(id string) []byte {
	e := newRecord(16)
	e.text(nameAccount, id)
	return e.b
}

func decodeAccountID(v []byte) (*string, error) {
	id := ""
	d := openRecord(v)
	for d.next() {
		if d.field != nameAccount {
			d.unknown()
			continue
		}
		id = d.text()
	}
	return &id, d.finish("e-mail address")
}

func encodeMasterKey(k *MasterKey) []byte {
	e := newRecord(64)
	e.bytes(masterKeyCheck, k.Check)
	return e.b
}

// decodeMasterKey decodes the value of a row I m; ID is not in it.
func decodeMasterKey(v []byte) (*MasterKey, error) {
	k := &MasterKey{}
	d := openRecord(v)
	for d.next() {
		if d.field != masterKeyCheck {
			d.unknown()
			continue
		}
		k.Check = append([]byte(nil), d.bytes()...)
	}
	return k, d.finish("master key")
}
