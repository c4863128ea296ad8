package compat

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/undercroft/undercroft/keys/transit/transittest"
)

// vaulted is a server whose keys of SSE-KMS are in a transit engine.
type vaulted struct {
	*server
	vault  *transittest.Server
	client *s3.Client
	bucket string
}

func newVaulted(t *testing.T, flags ...string) *vaulted {
	t.Helper()
	v := &vaulted{vault: transittest.New()}
	t.Cleanup(v.vault.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(transittest.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v.server = startServer(t, append(flags, "--kms", "vault", "--kms-vault-address", v.vault.Address(), "--kms-vault-token-file", token)...)
	v.client, v.bucket = v.server.bucket(t)
	return v
}

func (v *vaulted) put(t *testing.T, key, name string, bucketKey bool) error {
	t.Helper()
	_, err := v.client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &v.bucket, Key: &key, Body: strings.NewReader("the body of " + key),
		ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: &name, BucketKeyEnabled: &bucketKey,
	})
	return err
}

func (v *vaulted) holds(t *testing.T, key string) {
	t.Helper()
	wantBytes(t, key, get(t, v.client, v.bucket, key), []byte("the body of "+key))
}

func (v *vaulted) refused(t *testing.T, key string, status int, code string) {
	t.Helper()
	_, err := v.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &v.bucket, Key: &key})
	wantError(t, err, status, code)
}

func TestEncryptionWithVault(t *testing.T) {
	t.Parallel()
	v := newVaulted(t, "--kms-default-key", "default")
	wantError(t, v.put(t, "a", "payroll", false), http.StatusBadRequest, "KMS.NotFoundException")
	wantError(t, v.put(t, "a", "", false), http.StatusBadRequest, "KMS.NotFoundException")
	for _, key := range []string{"payroll", "default"} {
		v.vault.CreateKey(key)
	}
	for key, name := range map[string]string{"a": "payroll", "b": "arn:aws:kms:us-east-1:123456789012:key/payroll", "c": ""} {
		if err := v.put(t, key, name, false); err != nil {
			t.Fatalf("with the key %q: %v", name, err)
		}
		v.holds(t, key)
	}
	if head, err := v.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &v.bucket, Key: aws.String("c")}); err != nil || aws.ToString(head.SSEKMSKeyId) != "default" {
		t.Errorf("the default key: %+v, %v", head, err)
	}
	// Rotated in the engine and moved by the job: old versions are not needed.
	v.vault.RotateKey("payroll")
	if out, err := v.administer(t, "keys", "rewrap", "--watch"); err != nil || !strings.Contains(out, "3 data keys looked at, 2 sealed anew") {
		t.Fatalf("%s, %v", out, err)
	}
	v.vault.KeepNewest("payroll")
	v.holds(t, "a")
	v.holds(t, "b")
	// A server that is sealed holds up what is under its keys, and nothing else.
	v.vault.Seal()
	v.refused(t, "a", http.StatusServiceUnavailable, "ServiceUnavailable")
	if _, err := v.client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &v.bucket, Key: aws.String("plain"), Body: strings.NewReader("plain"), ServerSideEncryption: types.ServerSideEncryptionAes256,
	}); err != nil {
		t.Errorf("SSE-S3 while Vault is sealed: %v", err)
	}
	v.vault.Unseal()
	v.holds(t, "a")
	// A key that is deleted opens nothing from then on.
	v.vault.DeleteKey("payroll")
	v.refused(t, "a", http.StatusBadRequest, "KMS.NotFoundException")
	v.holds(t, "c")
	v.vault.Revoke(transittest.Token)
	v.refused(t, "c", http.StatusForbidden, "AccessDenied")
	if strings.Contains(v.log.String(), transittest.Token) {
		t.Error("the token is in the log")
	}
}

// Objects of a bucket with a bucket key cost the key provider one call for many.
func TestBucketKeysSpareVault(t *testing.T) {
	t.Parallel()
	v := newVaulted(t)
	v.vault.CreateKey("payroll")
	const objects = 20
	calls := func(bucketKey bool) int {
		t.Helper()
		before := v.vault.Asked()
		for n := range objects {
			key := fmt.Sprint(bucketKey, n)
			if err := v.put(t, key, "payroll", bucketKey); err != nil {
				t.Fatal(err)
			}
			v.holds(t, key)
		}
		return v.vault.Asked() - before
	}
	if n := calls(false); n != 2*objects {
		t.Errorf("%d objects without a bucket key cost %d calls", objects, n)
	}
	if n := calls(true); n != 1 {
		t.Errorf("%d objects with a bucket key cost %d calls", objects, n)
	}
}
