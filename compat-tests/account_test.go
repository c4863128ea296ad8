package compat

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// account is what `undercroft admin account create --json` prints, as far as
// the tests look at it.
type account struct {
	ID          string   `json:"id"`
	CanonicalID string   `json:"canonicalId"`
	Name        string   `json:"name"`
	Email       string   `json:"email"`
	Disabled    bool     `json:"disabled"`
	Key         *keyPair `json:"key"`
}

type keyPair struct {
	AccessKey string `json:"accessKey"`
	SecretKey string `json:"secretKey"`
}

// administer runs `undercroft admin` against the server, as an operator with its
// root credentials, and returns what it prints.
func (s *server) administer(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	if s.admin == "" {
		skip(t, "accounts are made with our own command line")
	}
	bin, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, append([]string{"admin"}, append(args, "--admin", s.admin)...)...)
	cmd.Env = []string{"UNDERCROFT_ROOT_ACCESS_KEY=" + s.accessKey, "UNDERCROFT_ROOT_SECRET_KEY=" + s.secretKey}
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = errors.New(string(exit.Stderr))
	}
	return string(out), err
}

// mustAdminister is administer, decoding what is printed.
func mustAdminister[T any](t *testing.T, s *server, args ...string) (out T) {
	t.Helper()
	text, err := s.administer(t, append(args, "--json")...)
	if err != nil {
		t.Fatalf("admin %s: %v", strings.Join(args, " "), err)
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("admin %s: %v in %s", strings.Join(args, " "), err, text)
	}
	return out
}

// newAccount makes an account with a root key.
func (s *server) newAccount(t *testing.T, name string, args ...string) account {
	t.Helper()
	return mustAdminister[account](t, s, append([]string{"account", "create", "--name", name}, args...)...)
}

// as is a client that signs with a key pair.
func (s *server) as(k *keyPair) *s3.Client {
	return s.client(func(o *s3.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(k.AccessKey, k.SecretKey, "")
	})
}

// bucketOf makes a bucket with a client of an account, and removes it at the end.
func bucketOf(t *testing.T, c *s3.Client) string {
	t.Helper()
	name := "account-" + randomHex(8)
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatalf("CreateBucket: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := removeBucket(ctx, c, name); err != nil {
			t.Errorf("clean up bucket: %v", err)
		}
	})
	return name
}

func TestAccountsHaveBucketsOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := shared(t)
	email := "Second-" + randomHex(4) + "@example.com"
	second := s.newAccount(t, "M. Second", "--email", email)
	third := s.newAccount(t, "M. Third", "--access-key", "third-"+randomHex(8), "--secret-key", "third's+secret/key=")
	for _, client := range []struct {
		owner  account
		others []*s3.Client
	}{
		{second, []*s3.Client{s.as(third.Key), s.client()}},
		{third, []*s3.Client{s.as(second.Key)}},
	} {
		c := s.as(client.owner.Key)
		bucket := bucketOf(t, c)
		put(t, c, bucket, "private", []byte("mine"))
		wantBytes(t, "the owner's object", get(t, c, bucket, "private"), []byte("mine"))
		list, err := c.ListBuckets(t.Context(), &s3.ListBucketsInput{})
		if err != nil || len(list.Buckets) != 1 || aws.ToString(list.Owner.ID) != client.owner.CanonicalID {
			t.Errorf("ListBuckets: %+v, %v", list, err)
		}
		for _, other := range client.others {
			wantStranger(t, other, bucket)
		}
		if keys := keysOf(t, c, bucket); len(keys) != 1 {
			t.Errorf("the strangers left %v", keys)
		}
	}
	anonymous := s.raw(t, &rawRequest{Path: "/", Anonymous: true})
	anonymous.want(t, "an anonymous listing of buckets", 403, "AccessDenied")
}

// wantStranger makes sure that a client of another account may do nothing.
func wantStranger(t *testing.T, c *s3.Client, bucket string) {
	t.Helper()
	key := aws.String("private")
	_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: key})
	wantError(t, err, 403, "AccessDenied")
	_, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	wantError(t, err, 403, "AccessDenied")
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("planted"), Body: strings.NewReader("x")})
	wantError(t, err, 403, "AccessDenied")
	_, err = c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: key})
	wantError(t, err, 403, "AccessDenied")
	_, err = c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &bucket})
	wantError(t, err, 403, "AccessDenied")
	out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: key}}}})
	if err == nil && (len(out.Deleted) != 0 || len(out.Errors) != 1 || aws.ToString(out.Errors[0].Code) != "AccessDenied") {
		t.Errorf("DeleteObjects by a stranger: %+v", out)
	}
}

func TestAccountUserDoesWhatItsPolicySays(t *testing.T) {
	t.Parallel()
	s := shared(t)
	a := s.newAccount(t, "policies")
	root := s.as(a.Key)
	bucket := bucketOf(t, root)
	put(t, root, bucket, "open/a", []byte("a"))
	put(t, root, bucket, "closed/b", []byte("b"))
	mustAdminister[map[string]any](t, s, "user", "create", a.ID, "reader")
	k := mustAdminister[keyPair](t, s, "key", "create", a.ID, "--user", "reader")
	user := s.as(&k)
	read := func(key string) error {
		_, err := user.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		return err
	}
	wantError(t, read("open/a"), 403, "AccessDenied")
	policy := filepath.Join(t.TempDir(), "policy.json")
	document := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + bucket + `/open/*"}}`
	if err := os.WriteFile(policy, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	mustAdminister[map[string]any](t, s, "user", "policy", "set", a.ID, "reader", policy)
	if err := read("open/a"); err != nil {
		t.Errorf("what the policy allows: %v", err)
	}
	wantError(t, read("closed/b"), 403, "AccessDenied")
	_, err := user.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("open/c"), Body: strings.NewReader("c")})
	wantError(t, err, 403, "AccessDenied")
	mustAdminister[map[string]any](t, s, "user", "policy", "delete", a.ID, "reader")
	wantError(t, read("open/a"), 403, "AccessDenied")
}

func TestAccountKeysThatStopWorking(t *testing.T) {
	t.Parallel()
	s := shared(t)
	a := s.newAccount(t, "revoked")
	c := s.as(a.Key)
	try := func(c *s3.Client) error {
		_, err := c.ListBuckets(t.Context(), &s3.ListBucketsInput{})
		return err
	}
	works := func(what string, c *s3.Client) {
		t.Helper()
		if err := try(c); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	works("a new key", c)
	for _, revoke := range [][3]string{{"key", "disable", a.Key.AccessKey}, {"account", "disable", a.ID}} {
		mustAdminister[map[string]any](t, s, revoke[:]...)
		wantError(t, try(c), 403, "InvalidAccessKeyId")
		mustAdminister[map[string]any](t, s, revoke[0], "enable", revoke[2])
		works("enabled again", c)
	}
	rotated := mustAdminister[keyPair](t, s, "key", "rotate", a.Key.AccessKey)
	wantError(t, try(c), 403, "SignatureDoesNotMatch")
	works("the new secret", s.as(&rotated))
	mustAdminister[map[string]any](t, s, "key", "delete", a.Key.AccessKey)
	wantError(t, try(s.as(&rotated)), 403, "InvalidAccessKeyId")
}

func TestAccountIsNotDeletedWithItsBuckets(t *testing.T) {
	t.Parallel()
	s := shared(t)
	a := s.newAccount(t, "kept")
	c := s.as(a.Key)
	name := "account-" + randomHex(8)
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.administer(t, "account", "delete", a.ID); err == nil || !strings.Contains(err.Error(), name) || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("deleting an account with a bucket: %v", err)
	}
	if _, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	mustAdminister[map[string]any](t, s, "account", "delete", a.ID)
	_, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name})
	wantError(t, err, 403, "InvalidAccessKeyId")
}

func TestAccountAddressIsGivenOnce(t *testing.T) {
	t.Parallel()
	s := shared(t)
	if s.admin == "" {
		skip(t, "accounts are made with our own command line")
	}
	email := "one-" + randomHex(6) + "@example.com"
	var group sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		group.Go(func() { _, errs[i] = s.administer(t, "account", "create", "--name", "one", "--email", email) })
	}
	group.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !strings.Contains(err.Error(), email) {
			t.Errorf("a loser is told %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d creators have the address", won)
	}
}

// refusedBody is what a refused client is told.
func refusedBody(t *testing.T, s *server, k *keyPair) string {
	t.Helper()
	answer := s.raw(t, &rawRequest{Path: "/", AccessKey: k.AccessKey, SecretKey: k.SecretKey})
	answer.want(t, "a key that is refused", 403, "InvalidAccessKeyId")
	return string(answer.Body)
}

// Accounts and keys that were acknowledged survive the death of the process, and
// so does the master key that opens them.
func TestAccountSurvivesAKill(t *testing.T) {
	t.Parallel()
	dirs := makeDirs(t.TempDir())
	s := startServerOn(t, dirs)
	a := s.newAccount(t, "survivor", "--email", "survivor@example.com")
	c := s.as(a.Key)
	bucket := "account-" + randomHex(8)
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	put(t, c, bucket, "k", []byte("kept"))
	off := s.newAccount(t, "disabled")
	mustAdminister[map[string]any](t, s, "account", "disable", off.ID)
	s.kill()

	s = startServerOn(t, dirs, "--access-log")
	c = s.as(a.Key)
	wantBytes(t, "the object after a kill", get(t, c, bucket, "k"), []byte("kept"))
	if got := mustAdminister[account](t, s, "account", "show", "SURVIVOR@example.com"); got.ID != a.ID || got.CanonicalID != a.CanonicalID {
		t.Errorf("the account after a kill: %+v", got)
	}
	_, err := s.as(off.Key).ListBuckets(t.Context(), &s3.ListBucketsInput{})
	wantError(t, err, 403, "InvalidAccessKeyId")
	// The client is told no more; the operator is.
	reason := "the account " + off.ID + " of access key " + off.Key.AccessKey + " is disabled"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.poll(ctx, func() error {
		if !strings.Contains(s.log.String(), reason) {
			return errors.New("the log does not say why the key is refused")
		}
		return nil
	}); err != nil || strings.Contains(refusedBody(t, s, off.Key), "disabled") {
		t.Errorf("a disabled account: %v", err)
	}
	if out, err := s.administer(t, "check"); err != nil || !strings.Contains(out, "3 accounts") {
		t.Errorf("check: %v\n%s", err, out)
	}
}
