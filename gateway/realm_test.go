package gateway

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

// realm is a gateway over a whole store with accounts of its own. New buckets
// have ACLs and no public access block, unless a test asks for AWS's defaults.
type realm struct {
	*server
	directory *directory.Directory
}

func newRealm(t *testing.T, change ...func(*Options)) *realm {
	t.Helper()
	return newRealmOn(t, testcluster.New(t, testcluster.Options{}), change...)
}

// newRealmOn is newRealm over a store.
func newRealmOn(t *testing.T, cluster *testcluster.Cluster, change ...func(*Options)) *realm {
	t.Helper()
	r := &realm{}
	var err error
	r.directory, err = directory.Open(t.Context(), cluster.DB, directory.Options{
		RootAccessKey: testAccessKey, RootSecret: testSecret, MasterKey: directory.MasterKey{1}, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.server = newServer(t, append([]func(*Options){func(o *Options) {
		o.Objects, o.Keyring, o.Accounts = cluster.Objects, r.directory, r.directory
		o.ObjectOwnership, o.PublicAccess = s3.ObjectWriter, true
		o.Authenticator = &sigv4.Verifier{Region: "us-east-1", Now: time.Now, Secret: func(ctx context.Context, key string) (string, error) {
			cred, err := r.directory.Lookup(ctx, key)
			if err != nil {
				return "", fmt.Errorf("%w: %w", sigv4.ErrUnknownAccessKey, err)
			}
			return cred.Secret, nil
		}}
	}}, change...)...)
	t.Cleanup(func() {
		if t.Failed() {
			for line := range strings.Lines(r.log.String()) {
				if strings.Contains(line, "level=ERROR") {
					t.Log(line)
				}
			}
		}
	})
	return r
}

// caller signs as somebody; without a key, nobody signs.
type caller struct {
	*realm
	key, secret string
	account     iam.Account
}

func (r *realm) root() *caller {
	return &caller{realm: r, key: testAccessKey, secret: testSecret, account: iam.Account{
		ID: iam.RootAccount, CanonicalID: iam.CanonicalIDOf(iam.RootAccount), Name: "root",
	}}
}

func (r *realm) anonymous() *caller { return &caller{realm: r} }

// newAccount makes an account and returns its root.
func (r *realm) newAccount(name string) *caller {
	r.t.Helper()
	a, err := r.directory.CreateAccount(r.t.Context(), iam.NewAccount{Name: name, Email: name + "@example.test", Key: &iam.NewKey{}})
	if err != nil {
		r.t.Fatal(err)
	}
	return &caller{realm: r, key: a.Key.AccessKey.AccessKey, secret: a.Key.Secret, account: a.Account}
}

// user makes a user of the account with a policy.
func (c *caller) user(name, policy string) *caller {
	c.t.Helper()
	ctx, account := c.t.Context(), string(c.account.ID)
	if _, err := c.directory.CreateUser(ctx, account, iam.NewUser{Name: name, Policy: policy}); err != nil {
		c.t.Fatal(err)
	}
	k, err := c.directory.CreateKey(ctx, iam.NewKey{Account: account, User: name})
	if err != nil {
		c.t.Fatal(err)
	}
	return &caller{realm: c.realm, key: k.AccessKey.AccessKey, secret: k.Secret, account: c.account}
}

// id is how a grant names the caller's account.
func (c *caller) id() string { return string(c.account.CanonicalID) }

func (c *caller) do(method, target, body string, headers ...string) *answer {
	c.t.Helper()
	r := c.request(method, target, body, headers...)
	if c.key == "" {
		return c.send(r)
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", hash)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: c.key, SecretAccessKey: c.secret}
	if err := signer.SignHTTP(c.t.Context(), creds, r, hash, "s3", "us-east-1", time.Now()); err != nil {
		c.t.Fatal(err)
	}
	return c.send(r)
}

// ok sends a request that must succeed.
func (c *caller) ok(method, target, body string, headers ...string) *answer {
	c.t.Helper()
	a := c.do(method, target, body, headers...)
	if a.StatusCode/100 != 2 {
		c.t.Fatalf("%s %s %q: %d %s", method, target, headers, a.StatusCode, a.body)
	}
	return a
}

// fails sends a request that must be refused with a code.
func (c *caller) fails(code s3.Code, method, target, body string, headers ...string) {
	c.t.Helper()
	a := c.do(method, target, body, headers...)
	want := s3.NewError(code).Status
	if method == http.MethodHead {
		if a.StatusCode != want {
			c.t.Errorf("HEAD %s: status %d, want %d", target, a.StatusCode, want)
		}
		return
	}
	if a.StatusCode/100 == 2 {
		c.t.Errorf("%s %s %q: %d, want %s\n%s", method, target, headers, a.StatusCode, code, a.body)
		return
	}
	if got := a.failure(c.t).Code; got != code || a.StatusCode != want {
		c.t.Errorf("%s %s %q: %d %s, want %d %s", method, target, headers, a.StatusCode, got, want, code)
	}
}

// denied sends a request that must be refused for want of permission.
func (c *caller) denied(method, target, body string, headers ...string) {
	c.t.Helper()
	c.fails(s3.AccessDenied, method, target, body, headers...)
}

// allow is a bucket policy of one statement that allows everybody.
func allow(action, resource string) string { return statement("Allow", `"*"`, action, resource) }

func statement(effect, principal, action, resource string) string {
	return policy(fmt.Sprintf(`{"Effect":%q,"Principal":%s,"Action":%q,"Resource":"arn:aws:s3:::%s"}`, effect, principal, action, resource))
}

func policy(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// shownACL is the document of GetBucketAcl and GetObjectAcl.
type shownACL struct {
	Owner  struct{ ID, DisplayName string }
	Grants []struct {
		Grantee struct {
			Type                 string `xml:"http://www.w3.org/2001/XMLSchema-instance type,attr"`
			ID, DisplayName, URI string
		}
		Permission string
	} `xml:"AccessControlList>Grant"`
}

// acl reads an access control list and returns whose it is, and the grants as
// grantee=permission.
func (c *caller) acl(target string) (owner string, grants []string) {
	c.t.Helper()
	var doc shownACL
	if err := xml.Unmarshal([]byte(c.ok("GET", target, "").body), &doc); err != nil {
		c.t.Fatal(err)
	}
	for _, g := range doc.Grants {
		name := g.Grantee.DisplayName
		if g.Grantee.Type == "Group" {
			name = g.Grantee.URI[strings.LastIndexByte(g.Grantee.URI, '/')+1:]
		}
		grants = append(grants, name+"="+g.Permission)
	}
	return doc.Owner.DisplayName, grants
}

func (c *caller) wantACL(target, owner string, grants ...string) {
	c.t.Helper()
	gotOwner, got := c.acl(target)
	if gotOwner != owner || strings.Join(got, " ") != strings.Join(grants, " ") {
		c.t.Errorf("%s is %s's with %q, want %s's with %q", target, gotOwner, got, owner, grants)
	}
}

func md5Of(body string) string {
	sum := md5.Sum([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// uploadIn returns the upload id of a document.
func uploadIn(t *testing.T, doc string) string {
	t.Helper()
	_, rest, _ := strings.Cut(doc, "<UploadId>")
	id, _, ok := strings.Cut(rest, "</UploadId>")
	if !ok {
		t.Fatal(doc)
	}
	return id
}
