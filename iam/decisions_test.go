package iam

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// decisionCase is one question of testdata/decisions and its answer.
type decisionCase struct {
	Name         string
	Who          string
	Action       string
	ARN          string
	Service      bool              // the request is to the service: there is no bucket
	UserPolicies []json.RawMessage `json:"user_policies"`
	Bucket       struct {
		Owner        string
		Policy       json.RawMessage
		ACL          []string
		ACLsDisabled bool `json:"acls_disabled"`
		Block        []string
	}
	Object *struct {
		Owner string
		ACL   []string
	}
	Context contextMap
	Allowed bool
	Reason  string
}

type contextMap map[string][]string

func (c contextMap) Values(key string) []string { return c[key] }

const caseBucket = "bucket"

func caseAccount(name string) AccountID {
	return AccountID(strings.Repeat(string('1'+name[0]-'a'), 12))
}

func caseCanonical(name string) CanonicalID {
	if name == "" {
		return ""
	}
	return CanonicalIDOf(caseAccount(name))
}

// caseIdentity returns who is meant: "a", "b" and "c" are roots of accounts.
func caseIdentity(tb testing.TB, c *decisionCase) *Identity {
	tb.Helper()
	user := func(account, name, id string) *Identity {
		who := &Identity{AccountID: caseAccount(account), CanonicalID: caseCanonical(account), UserName: name, UserID: id}
		for _, doc := range c.UserPolicies {
			who.Policies = append(who.Policies, mustParse(tb, ParseIdentityPolicy, doc))
		}
		return who
	}
	switch c.Who {
	case "anonymous":
		return nil
	case "alice":
		return user("a", "alice", "AIDAALICE")
	case "carol":
		return user("a", "staff/carol", "AIDACAROL")
	case "star":
		return user("a", "*", "AIDASTAR")
	case "bob":
		return user("b", "bob", "AIDABOB")
	case "a", "b", "c":
		account := caseAccount(c.Who)
		return &Identity{AccountID: account, CanonicalID: CanonicalIDOf(account), UserID: string(account), Root: true}
	}
	tb.Fatalf("nobody is called %q", c.Who)
	return nil
}

func mustParse(tb testing.TB, parse func([]byte) (*Policy, error), doc []byte) *Policy {
	tb.Helper()
	p, err := parse(doc)
	if err != nil {
		tb.Fatalf("%v in %s", err, doc)
	}
	return p
}

func bucketPolicy(doc []byte) (*Policy, error) { return ParsePolicy(doc, caseBucket) }

// caseACL reads grants such as "b READ" and "AllUsers FULL_CONTROL".
func caseACL(tb testing.TB, grants []string) ACL {
	tb.Helper()
	var acl ACL
	for _, grant := range grants {
		to, permission, ok := strings.Cut(grant, " ")
		g := Grant{Type: GranteeGroup, Permission: Permission(permission)}
		switch to {
		case "AllUsers":
			g.ID = GroupAllUsers
		case "AuthenticatedUsers":
			g.ID = GroupAuthenticatedUsers
		case "LogDelivery":
			g.ID = GroupLogDelivery
		default:
			g.Type, g.ID = GranteeCanonicalUser, string(caseCanonical(to))
		}
		if !ok || !g.Permission.Valid() {
			tb.Fatalf("grant %q", grant)
		}
		acl.Grants = append(acl.Grants, g)
	}
	return acl
}

func (c *decisionCase) request(tb testing.TB) *Request {
	tb.Helper()
	r := &Request{Who: caseIdentity(tb, c), Action: c.Action, ARN: c.ARN, Context: c.Context}
	if c.Object != nil {
		r.Object = &ObjectFacts{Owner: caseCanonical(c.Object.Owner), ACL: caseACL(tb, c.Object.ACL)}
	}
	if c.Service {
		return r
	}
	b := &BucketFacts{Owner: caseCanonical("a"), OwnerAccount: caseAccount("a"), ACLsDisabled: c.Bucket.ACLsDisabled}
	if c.Bucket.Owner == "a-canonical" {
		b.OwnerAccount = ""
	}
	b.ACL = caseACL(tb, c.Bucket.ACL)
	b.Block = PublicAccessBlock{
		BlockPublicAcls:       slices.Contains(c.Bucket.Block, "BlockPublicAcls"),
		IgnorePublicAcls:      slices.Contains(c.Bucket.Block, "IgnorePublicAcls"),
		BlockPublicPolicy:     slices.Contains(c.Bucket.Block, "BlockPublicPolicy"),
		RestrictPublicBuckets: slices.Contains(c.Bucket.Block, "RestrictPublicBuckets"),
	}
	if c.Bucket.Policy != nil {
		doc := bytes.ReplaceAll(c.Bucket.Policy, []byte("$canonical:b"), []byte(caseCanonical("b")))
		b.Policy = mustParse(tb, bucketPolicy, doc)
	}
	r.Bucket = b
	return r
}

// decisionCases reads the corpus, the cases by the name of their file.
func decisionCases(tb testing.TB) map[string][]*decisionCase {
	tb.Helper()
	files, err := filepath.Glob("testdata/decisions/*.json")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no decisions: %v", err)
	}
	all := map[string][]*decisionCase{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		decoder := json.NewDecoder(bytes.NewReader(content))
		decoder.DisallowUnknownFields()
		var cases []*decisionCase
		if err := decoder.Decode(&cases); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = cases
	}
	return all
}

func TestDecisions(t *testing.T) {
	total := 0
	for name, cases := range decisionCases(t) {
		total += len(cases)
		t.Run(name, func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.Name, func(t *testing.T) {
					d := Decide(c.request(t))
					if d.Allowed != c.Allowed {
						t.Errorf("allowed = %v (%s), want %v", d.Allowed, d.Reason, c.Allowed)
					}
					if !strings.Contains(d.Reason, c.Reason) || c.Reason == "" || strings.Contains(d.Reason, "\n") {
						t.Errorf("reason %q does not say %q in one line", d.Reason, c.Reason)
					}
				})
			}
		})
	}
	if total < 150 {
		t.Errorf("%d decisions are no corpus", total)
	}
}
