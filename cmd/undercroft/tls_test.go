package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// writePair writes a certificate for name and its key.
func writePair(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	place(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	place(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
}

func TestCertificateIsReloaded(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	writePair(t, cert, key, "old")
	clock := time.Unix(1e9, 0)
	stamp := clock
	var log lines
	c, err := loadCertificates([]string{cert}, []string{key}, func() time.Time { return clock }, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	served := func() string {
		t.Helper()
		pair, err := c.get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.Subject.CommonName
	}
	// touch gives both files a new time, whatever the file system's clock does.
	touch := func() {
		t.Helper()
		stamp = stamp.Add(time.Minute)
		for _, file := range []string{cert, key} {
			if err := os.Chtimes(file, stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect := func(when, want string) {
		t.Helper()
		if got := served(); got != want {
			t.Errorf("%s: the certificate of %q is served, want %q", when, got, want)
		}
	}
	expect("at first", "old")
	writePair(t, cert, key, "new")
	touch()
	clock = clock.Add(reloadInterval - 1)
	expect("within a second", "old")
	clock = clock.Add(1)
	expect("after a second", "new")

	place(t, key, "garbage")
	touch()
	for range 3 {
		clock = clock.Add(reloadInterval)
		expect("with a broken key", "new")
	}
	if n := strings.Count(log.String(), "certificate not reloaded"); n != 1 {
		t.Errorf("the broken key was logged %d times, want once:\n%s", n, log.String())
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(reloadInterval)
	expect("without a key", "new")
	writePair(t, cert, key, "newest")
	touch()
	clock = clock.Add(reloadInterval)
	expect("mended", "newest")
}

func TestServingOverTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	writePair(t, cert, key, "127.0.0.1")
	i := start(t, echoAssembler, "--data="+filepath.Join(dir, "d"), "--tls-cert="+cert, "--tls-key="+key)
	if !strings.HasPrefix(i.endpoint, "https://") {
		t.Fatalf("the banner names %s", i.endpoint)
	}
	authority, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	ask := func(ctx context.Context, limits *tls.Config) (protocol string, err error) {
		limits.RootCAs = pool
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: limits, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.endpoint, http.NoBody)
		if err != nil {
			return "", err
		}
		response, err := client.Do(request)
		if err != nil {
			return "", err
		}
		return response.Proto, response.Body.Close()
	}
	if protocol, err := ask(t.Context(), &tls.Config{}); err != nil || protocol != "HTTP/1.1" {
		t.Fatalf("%q, %v; want HTTP/1.1 for a client that would speak HTTP/2", protocol, err)
	}
	if _, err := ask(t.Context(), &tls.Config{MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	if code := i.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// hello is what a client that asks for name says.
func hello(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13}, SupportedCurves: []tls.CurveID{tls.CurveP256},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256},
	}
}

func TestCertificatesAreChosenByName(t *testing.T) {
	dir := t.TempDir()
	var certs, keys []string
	for i, name := range []string{"s3.test", "*.web.test", "www.example.com"} {
		cert, key := filepath.Join(dir, "cert"+strconv.Itoa(i)), filepath.Join(dir, "key"+strconv.Itoa(i))
		writePair(t, cert, key, name)
		certs, keys = append(certs, cert), append(keys, key)
	}
	clock := time.Unix(1e9, 0)
	var log lines
	c, err := loadCertificates(certs, keys, func() time.Time { return clock }, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(asked, want string) {
		t.Helper()
		pair, err := c.get(hello(asked))
		if err != nil {
			t.Fatal(err)
		}
		if got := pair.Leaf.Subject.CommonName; got != want {
			t.Errorf("%q gets the certificate of %s, want %s", asked, got, want)
		}
	}
	expect("s3.test", "s3.test")
	expect("site.web.test", "*.web.test")
	expect("WWW.example.com", "www.example.com")
	expect("elsewhere.test", "s3.test")
	expect("", "s3.test")

	// One pair that is broken keeps no other from being replaced. A hangup does not
	// wait for the interval, nor for a file that looks changed.
	writePair(t, certs[1], keys[1], "site.web.test")
	place(t, keys[2], "garbage")
	expect("site.web.test", "*.web.test")
	c.reload(t.Context())
	expect("site.web.test", "site.web.test")
	expect("www.example.com", "www.example.com")
	if text := log.String(); !strings.Contains(text, "cannot use tls-cert "+certs[2]+" with tls-key "+keys[2]) {
		t.Errorf("the log does not name the files:\n%s", text)
	}
	if _, err := loadCertificates(certs, keys, time.Now, nil); err == nil || !strings.Contains(err.Error(), certs[2]) {
		t.Errorf("a start with a broken pair: %v", err)
	}
	if _, err := loadCertificates(certs[:1], []string{keys[1]}, time.Now, nil); err == nil || !strings.Contains(err.Error(), "private key does not match") {
		t.Errorf("a start with another's key: %v", err)
	}
}

// TestCertificateIsTriedAgain: what could not be read for a moment is read later, though
// its files look as they did when it failed.
func TestCertificateIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	writePair(t, cert, key, "old")
	clock := time.Unix(1e9, 0)
	var log lines
	c, err := loadCertificates([]string{cert}, []string{key}, func() time.Time { return clock }, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		clock = clock.Add(reloadInterval)
		if pair, err := c.get(&tls.ClientHelloInfo{}); err != nil || pair.Leaf.Subject.CommonName != want {
			t.Errorf("%v, %v; want %s", pair, err, want)
		}
	}
	writePair(t, cert, key, "new")
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	stamp := clock
	for _, content := range []string{strings.Repeat("x", len(good)), string(good)} {
		place(t, key, content)
		if err := os.Chtimes(key, stamp, stamp); err != nil {
			t.Fatal(err)
		}
		if content != string(good) {
			expect("old")
			expect("old")
		}
	}
	expect("new")
	if n := strings.Count(log.String(), "not reloaded"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
}

func TestExpiredCertificatesAreLast(t *testing.T) {
	dir := t.TempDir()
	var certs, keys []string
	for i, name := range []string{"s3.test", "*.web.test", "site.web.test"} {
		cert, key := filepath.Join(dir, "cert"+strconv.Itoa(i)), filepath.Join(dir, "key"+strconv.Itoa(i))
		writePair(t, cert, key, name)
		certs, keys = append(certs, cert), append(keys, key)
	}
	clock := time.Unix(1e9, 0)
	c, err := loadCertificates(certs, keys, func() time.Time { return clock }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(asked, want string) {
		t.Helper()
		if pair, err := c.get(hello(asked)); err != nil || pair.Leaf.Subject.CommonName != want {
			t.Errorf("%s: %v, %v; want %s", asked, pair, err, want)
		}
	}
	expect("site.web.test", "*.web.test")
	c.pairs[1].current.Leaf.NotAfter = clock.Add(-1)
	expect("site.web.test", "site.web.test")
	expect("other.web.test", "*.web.test") // it tells more than that of another name
	expect("other.test", "s3.test")
}
