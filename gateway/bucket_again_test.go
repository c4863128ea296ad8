package gateway

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/undercroft/undercroft/s3"
)

// lateBody runs first before its text is read.
type lateBody struct {
	io.Reader
	once  sync.Once
	first func()
}

func (l *lateBody) Read(p []byte) (int, error) {
	l.once.Do(l.first)
	return l.Reader.Read(p)
}

// late sends a request whose body comes after it was decided about, and after
// before.
func (c *caller) late(before func(), method, target, body string, headers ...string) *answer {
	c.t.Helper()
	const unsigned = "UNSIGNED-PAYLOAD"
	headers = append(headers, "Expect", "100-continue", "X-Amz-Content-Sha256", unsigned, "Content-Md5", md5Of(body))
	r := c.request(method, target, "", headers...)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: c.key, SecretAccessKey: c.secret}
	if err := signer.SignHTTP(c.t.Context(), creds, r, unsigned, "s3", "us-east-1", time.Now()); err != nil {
		c.t.Fatal(err)
	}
	r.Body = io.NopCloser(&lateBody{Reader: strings.NewReader(body), first: before})
	r.ContentLength = int64(len(body))
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	defer client.CloseIdleConnections()
	res, err := client.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return &answer{res, string(text)}
}

// TestDecisionsAreAboutOneBucket: whoever was allowed to change a bucket may
// not change another that has its name by now, however late the body comes.
func TestDecisionsAreAboutOneBucket(t *testing.T) {
	r := newRealm(t)
	thief, owner := r.newAccount("thief"), r.newAccount("owner")
	const tags = `<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>`
	for name, q := range map[string]struct{ method, target, body string }{
		"policy":      {"PUT", "/vacated?policy", allow("s3:*", "vacated/*")},
		"acl":         {"PUT", "/vacated?acl", `<AccessControlPolicy><Owner><ID>` + thief.id() + `</ID></Owner><AccessControlList/></AccessControlPolicy>`},
		"versioning":  {"PUT", "/vacated?versioning", `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`},
		"tagging":     {"PUT", "/vacated?tagging", tags},
		"objects":     {"POST", "/vacated?delete", `<Delete><Object><Key>k</Key></Object></Delete>`},
		"object tags": {"PUT", "/vacated/k?tagging", tags},
	} {
		t.Run(name, func(t *testing.T) {
			thief.ok("PUT", "/vacated", "")
			thief.ok("PUT", "/vacated/k", "bait")
			a := thief.late(func() {
				thief.ok("DELETE", "/vacated/k", "")
				thief.ok("DELETE", "/vacated", "")
				owner.ok("PUT", "/vacated", "")
				owner.ok("PUT", "/vacated/k", "secret")
			}, q.method, q.target, q.body)
			if a.StatusCode/100 == 2 && !strings.Contains(a.body, string(s3.NoSuchBucket)) {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			r.anonymous().denied("GET", "/vacated/k", "")
			owner.ok("DELETE", "/vacated/k", "")
			owner.ok("DELETE", "/vacated", "")
		})
	}
}
