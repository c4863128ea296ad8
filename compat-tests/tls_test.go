package compat

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// selfSigned makes a certificate of its own authority for a host name, or for
// 127.0.0.1 under another name.
func selfSigned(t *testing.T, name string) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if strings.HasSuffix(name, ".test") || strings.HasSuffix(name, ".org") {
		template.DNSNames = []string{name}
	} else {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// writeCertificate makes a self-signed certificate for 127.0.0.1.
func writeCertificate(t *testing.T, dir, name string) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	certPEM, keyPEM := selfSigned(t, name)
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for file, data := range map[string][]byte{certFile: certPEM, keyFile: keyPEM} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}

// TestTLSWithSDKTrailers: over TLS the SDK sends bodies unsigned with a checksum
// in the trailer, also from a stream whose bytes it sees only once.
func TestTLSWithSDKTrailers(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := writeCertificate(t, t.TempDir(), "first")
	s := startServer(t, "--tls-cert", certFile, "--tls-key", keyFile)
	s.endpoint = "https" + s.endpoint[len("http"):]
	httpClient := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	c := s.client(func(o *s3.Options) { o.HTTPClient = httpClient })
	bucket := "tls-" + randomHex(4)
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []types.ChecksumAlgorithm{"", "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"} {
		for _, size := range []int{0, 100, 3*mib + 1} {
			body := pattern(size, 1)
			_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: &bucket, Key: aws.String("k"), Body: io.MultiReader(bytes.NewReader(body)), ContentLength: aws.Int64(int64(size)), ChecksumAlgorithm: algorithm,
			})
			if err != nil {
				t.Fatalf("%s, %d bytes: %v", algorithm, size, err)
			}
			wantBytes(t, string(algorithm), get(t, c, bucket, "k"), body)
		}
	}
	if resp, err := try(t.Context(), "http"+s.endpoint[len("https"):]+"/"); err == nil && resp.Status != http.StatusBadRequest {
		t.Errorf("plain HTTP on the TLS port: %d", resp.Status)
	}
}

// TestTLSCertificateIsReloaded replaces the files of a running server.
func TestTLSCertificateIsReloaded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile, _ := writeCertificate(t, dir, "first")
	s := startServer(t, "--tls-cert", certFile, "--tls-key", keyFile)
	served := func() string {
		conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", s.endpoint[len("http://"):])
		if err != nil {
			return err.Error()
		}
		defer func() { _ = conn.Close() }()
		tc, ok := conn.(*tls.Conn)
		if !ok {
			t.Fatal("not TLS")
		}
		return tc.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := served(); got != "first" {
		t.Fatalf("served %q", got)
	}
	writeCertificate(t, dir, "second")
	deadline := time.After(patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for served() != "second" {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still serves %q", served())
		}
	}
}
