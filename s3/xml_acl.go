package s3

import (
	"encoding/xml"
	"errors"
)

// GranteeType says how a grantee is named.
type GranteeType string

// The types of grantees. An e-mail address is only ever asked for: what is kept
// is the canonical id of its account.
const (
	GranteeUser  GranteeType = "CanonicalUser"
	GranteeGroup GranteeType = "Group"
	GranteeEmail GranteeType = "AmazonCustomerByEmail"
)

// The predefined groups.
const (
	GroupAllUsers           = "http://acs.amazonaws.com/groups/global/AllUsers"
	GroupAuthenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
	GroupLogDelivery        = "http://acs.amazonaws.com/groups/s3/LogDelivery"
)

// Permission is what a grant permits.
type Permission string

// The permissions.
const (
	PermissionRead        Permission = "READ"
	PermissionWrite       Permission = "WRITE"
	PermissionReadACP     Permission = "READ_ACP"
	PermissionWriteACP    Permission = "WRITE_ACP"
	PermissionFullControl Permission = "FULL_CONTROL"
)

// Valid reports whether S3 knows the permission.
func (p Permission) Valid() bool {
	switch p {
	case PermissionRead, PermissionWrite, PermissionReadACP, PermissionWriteACP, PermissionFullControl:
		return true
	}
	return false
}

// MaxGrants is how many grants an access control list holds.
const MaxGrants = 100

// Grant is one entry of an access control list.
type Grant struct {
	Type GranteeType
	// Grantee is the canonical id, the URI or the e-mail address.
	Grantee string
	// DisplayName is shown of accounts; what a request says of it is dropped.
	DisplayName string
	Permission  Permission
}

// AccessControlPolicy is an access control list and whose it is.
type AccessControlPolicy struct {
	Owner  Owner
	Grants []Grant
}

const xmlSchemaInstance = "http://www.w3.org/2001/XMLSchema-instance"

// AppendXML appends the document.
func (p *AccessControlPolicy) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "AccessControlPolicy")
	dst = appendOwner(dst, "Owner", p.Owner)
	dst = append(dst, "<AccessControlList>"...)
	for i := range p.Grants {
		dst = p.Grants[i].appendXML(dst)
	}
	dst = append(dst, "</AccessControlList>"...)
	return closeElement(dst, "AccessControlPolicy")
}

func (g *Grant) appendXML(dst []byte) []byte {
	dst = append(dst, `<Grant><Grantee xmlns:xsi="`+xmlSchemaInstance+`" xsi:type="`...)
	dst = append(dst, g.Type...)
	dst = append(dst, `">`...)
	switch g.Type {
	case GranteeUser:
		dst = appendElement(dst, "ID", g.Grantee)
		dst = appendOptional(dst, "DisplayName", g.DisplayName)
	case GranteeGroup:
		dst = appendElement(dst, "URI", g.Grantee)
	case GranteeEmail:
		dst = appendElement(dst, "EmailAddress", g.Grantee)
	}
	dst = append(dst, "</Grantee>"...)
	dst = appendElement(dst, "Permission", string(g.Permission))
	return append(dst, "</Grant>"...)
}

// DecodeACL decodes an access control list of at most MaxGrants grants. Every
// failure is MalformedACLError.
func DecodeACL(body []byte) (AccessControlPolicy, error) {
	var p AccessControlPolicy
	owned := false
	err := decodeDocument(body, "AccessControlPolicy", func(x *xmlReader) error {
		return x.children(func(name string) error {
			switch name {
			case "Owner":
				owned = true
				return x.owner(&p.Owner)
			case "AccessControlList":
				return x.grants(&p.Grants)
			}
			return unknownElement(name)
		})
	})
	if err == nil && !owned {
		err = errors.New("no owner")
	}
	if err != nil {
		return AccessControlPolicy{}, NewError(MalformedACLError).Because(err)
	}
	return p, nil
}

func (x *xmlReader) owner(o *Owner) error {
	return x.children(func(name string) error {
		switch name {
		case "ID":
			return x.into((*string)(&o.ID))
		case "DisplayName":
			return x.into(&o.DisplayName)
		}
		return unknownElement(name)
	})
}

func (x *xmlReader) grants(grants *[]Grant) error {
	return x.children(func(name string) error {
		if name != "Grant" || len(*grants) == MaxGrants {
			return unknownElement(name)
		}
		g, err := x.grant()
		*grants = append(*grants, g)
		return err
	})
}

func (x *xmlReader) grant() (Grant, error) {
	var g Grant
	err := x.children(func(name string) error {
		switch name {
		case "Grantee":
			return x.grantee(&g)
		case "Permission":
			return x.into((*string)(&g.Permission))
		}
		return unknownElement(name)
	})
	if err == nil && (g.Grantee == "" || !g.Permission.Valid()) {
		err = malformed("grant without grantee or permission")
	}
	return g, err
}

// grantee reads whom a grant is for. The type is an attribute, and exactly the
// element of that type must be there.
func (x *xmlReader) grantee(g *Grant) error {
	g.Type = GranteeType(x.attribute(xml.Name{Space: xmlSchemaInstance, Local: "type"}))
	wanted := map[GranteeType]string{GranteeUser: "ID", GranteeGroup: "URI", GranteeEmail: "EmailAddress"}[g.Type]
	seen := false
	return x.children(func(name string) error {
		switch {
		case name == "DisplayName":
			return x.into(&g.DisplayName)
		case name != wanted || seen:
			return unknownElement(name)
		}
		seen = true
		return x.into(&g.Grantee)
	})
}
