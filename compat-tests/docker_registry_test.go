//go:build compat

package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const registryBucket = "registry-bucket"

// registry is Debian's docker-registry with its S3 driver on our server.
type registry struct {
	t      *testing.T
	bin    string
	config string
	url    string
	cmd    *exec.Cmd
	exited chan struct{}
	log    *tailBuffer
}

func newRegistry(t *testing.T, s *server, storage string) *registry {
	t.Helper()
	bin := tool(t, "docker-registry")
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`version: 0.1
log: {level: warn}
storage:
  delete: {enabled: true}
  s3:
    accesskey: %s
    secretkey: %s
    region: %s
    regionendpoint: %s
    bucket: %s
    secure: false
    v4auth: true
%s
http: {addr: "127.0.0.1:%d"}
health: {storagedriver: {enabled: true, interval: 1s, threshold: 3}}
`, s.accessKey, s.secretKey, region, s.endpoint, registryBucket, storage, port)
	r := &registry{t: t, bin: bin, config: filepath.Join(t.TempDir(), "config.yml"), url: "http://127.0.0.1:" + strconv.Itoa(port)}
	if err := os.WriteFile(r.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.stop()
		if t.Failed() && r.log != nil {
			t.Logf("end of the registry's log:\n%s", r.log)
		}
	})
	return r
}

func (r *registry) start() {
	r.t.Helper()
	r.cmd = exec.CommandContext(r.t.Context(), r.bin, "serve", r.config)
	r.cmd.Env = toolEnviron()
	r.log = &tailBuffer{}
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.exited = make(chan struct{})
	go func() {
		_ = r.cmd.Wait()
		close(r.exited)
	}()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := try(ctx, r.url+"/v2/"); err == nil && resp.Status == http.StatusOK {
			return
		}
		select {
		case <-tick.C:
		case <-r.exited:
			r.t.Fatalf("the registry exited:\n%s", r.log)
		case <-ctx.Done():
			r.t.Fatalf("the registry does not answer:\n%s", r.log)
		}
	}
}

func (r *registry) stop() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.exited:
	case <-time.After(patience):
		_ = r.cmd.Process.Kill()
		<-r.exited
	}
	r.cmd = nil
}

// do sends one request of the registry API; redirects are followed, as Docker
// does, to URLs that the driver presigned.
func (r *registry) do(method, target string, body []byte, want int, h ...string) *rawResponse {
	r.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = r.url + target
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for name, value := range header(h...) {
		req.Header.Set(name, value)
	}
	out, err := exchange(&http.Client{Timeout: patience}, req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	if out.Status != want {
		r.t.Fatalf("%s %s: %d, want %d: %.500s", method, target, out.Status, want, out.Body)
	}
	return out
}

func digest(b []byte) string { return "sha256:" + sha256Hex(b) }

// pushBlob uploads in chunks of at most size bytes, one PATCH for each.
func (r *registry) pushBlob(repo string, blob []byte, size int) {
	r.t.Helper()
	at := r.do("POST", "/v2/"+repo+"/blobs/uploads/", nil, 202).Header.Get("Location")
	for from := 0; from < len(blob); from += size {
		chunk := blob[from:min(from+size, len(blob))]
		at = r.do("PATCH", at, chunk, 202, "Content-Type", "application/octet-stream",
			"Content-Range", fmt.Sprintf("%d-%d", from, from+len(chunk)-1)).Header.Get("Location")
		state := r.do("GET", at, nil, 204).Header.Get("Range") // what a client asks to resume
		if want := fmt.Sprintf("0-%d", from+len(chunk)-1); state != want {
			r.t.Errorf("upload is at %s, want %s", state, want)
		}
	}
	u, err := url.Parse(at)
	if err != nil {
		r.t.Fatal(err)
	}
	q := u.Query()
	q.Set("digest", digest(blob))
	u.RawQuery = q.Encode()
	r.do("PUT", u.String(), nil, 201)
	r.do("HEAD", "/v2/"+repo+"/blobs/"+digest(blob), nil, 200)
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Size      int    `json:"size"`
	Digest    string `json:"digest"`
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

// pushImage uploads an image of these layers and returns its manifest.
func (r *registry) pushImage(repo, tag string, layers ...[]byte) []byte {
	r.t.Helper()
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]},"tag":%q}`, tag)
	r.pushBlob(repo, config, mib)
	manifest := struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}{2, manifestType, descriptor{"application/vnd.docker.container.image.v1+json", len(config), digest(config)}, nil}
	for _, l := range layers {
		r.pushBlob(repo, l, 15*mib)
		manifest.Layers = append(manifest.Layers, descriptor{"application/vnd.docker.image.rootfs.diff.tar.gzip", len(l), digest(l)})
	}
	body, err := json.Marshal(manifest)
	if err != nil {
		r.t.Fatal(err)
	}
	r.do("PUT", "/v2/"+repo+"/manifests/"+tag, body, 201, "Content-Type", manifestType)
	return body
}

// pullImage reads everything that a tag names and checks it against its digests.
func (r *registry) pullImage(repo, tag string, want []byte) {
	r.t.Helper()
	got := r.do("GET", "/v2/"+repo+"/manifests/"+tag, nil, 200, "Accept", manifestType)
	wantBytes(r.t, "manifest of "+repo, got.Body, want)
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	if err := json.Unmarshal(got.Body, &manifest); err != nil {
		r.t.Fatal(err)
	}
	for _, d := range append(manifest.Layers, manifest.Config) {
		blob := r.do("GET", "/v2/"+repo+"/blobs/"+d.Digest, nil, 200).Body
		if len(blob) != d.Size || digest(blob) != d.Digest {
			r.t.Errorf("%s: blob %s has %d bytes and digest %s", repo, d.Digest, len(blob), digest(blob))
		}
		if d.Size > 100 { // an interrupted pull goes on with a range
			rest := r.do("GET", "/v2/"+repo+"/blobs/"+d.Digest, nil, 206, "Range", "bytes=50-99").Body
			wantBytes(r.t, "range of a blob", rest, blob[50:100])
		}
	}
}

func (r *registry) strings(path, field string) []string {
	r.t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(r.do("GET", path, nil, 200).Body, &doc); err != nil {
		r.t.Fatal(err)
	}
	list, ok := doc[field].([]any)
	if !ok {
		return nil
	}
	var all []string
	for _, v := range list {
		all = append(all, fmt.Sprint(v))
	}
	slices.Sort(all)
	return all
}

// TestDockerRegistry pushes, lists, pulls, mounts, deletes and collects images.
// Blobs above 32 MiB are moved into place by part copies.
func TestDockerRegistry(t *testing.T) {
	t.Parallel()
	tool(t, "docker-registry")
	for name, storage := range map[string]string{
		"default":                  "  redirect: {disable: false}",
		"small-chunks-no-redirect": "    chunksize: 5242880\n    multipartcopychunksize: 5242880\n    multipartcopymaxconcurrency: 100\n    multipartcopythresholdsize: 5242880\n    rootdirectory: /some/prefix\n  redirect: {disable: true}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dockerRegistry(t, storage)
		})
	}
}

func dockerRegistry(t *testing.T, storage string) {
	t.Helper()
	s := startServer(t)
	c := s.client()
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(registryBucket)}); err != nil {
		t.Fatal(err)
	}
	r := newRegistry(t, s, storage)
	r.start()
	base := pattern(45*mib+123, 1) // above 32 MiB
	small, own := pattern(3*mib, 2), pattern(7*mib+1, 3)
	one := r.pushImage("team/app", "v1", base, small)
	two := r.pushImage("team/app", "v2", base, own)
	// No empty layer: this version of the driver completes it without any part,
	// which AWS refuses too. TestRegistryZeroBytePartForEmptyBlob is what newer do.
	three := r.pushImage("other", "latest", pattern(100, 4), []byte("x"))
	r.do("POST", "/v2/other/blobs/uploads/?mount="+digest(base)+"&from=team/app", nil, 201) // across repositories

	if got := r.strings("/v2/_catalog", "repositories"); !slices.Equal(got, []string{"other", "team/app"}) {
		t.Errorf("catalog %q", got)
	}
	if got := r.strings("/v2/team/app/tags/list", "tags"); !slices.Equal(got, []string{"v1", "v2"}) {
		t.Errorf("tags %q", got)
	}
	r.pullImage("team/app", "v1", one)
	r.pullImage("team/app", "v2", two)
	r.pullImage("other", "latest", three)
	r.do("GET", "/v2/team/app/manifests/none", nil, 404)
	r.do("HEAD", "/v2/team/app/blobs/sha256:"+strings.Repeat("0", 64), nil, 404)

	// An upload that is cancelled leaves nothing that blocks the next.
	at := r.do("POST", "/v2/team/app/blobs/uploads/", nil, 202).Header.Get("Location")
	at = r.do("PATCH", at, pattern(6*mib, 9), 202, "Content-Type", "application/octet-stream").Header.Get("Location")
	r.do("DELETE", at, nil, 204)

	r.do("DELETE", "/v2/team/app/manifests/"+digest(two), nil, 202)
	r.do("GET", "/v2/team/app/manifests/"+digest(two), nil, 404, "Accept", manifestType)
	r.stop()
	if !stored(t, c, digest(own)) {
		t.Error("the layer is gone before the collection")
	}
	out := runTool(t, nil, r.bin, "garbage-collect", r.config)
	wantContains(t, "garbage-collect", out, "blob eligible for deletion: "+digest(own))
	if stored(t, c, digest(own)) {
		t.Error("the layer of the deleted image is still stored")
	}
	for what, blob := range map[string][]byte{"shared layer": base, "layer of v1": small} {
		if !stored(t, c, digest(blob)) {
			t.Errorf("the %s was collected", what)
		}
	}
	r.start()
	r.pullImage("team/app", "v1", one)
	r.pullImage("other", "latest", three)
	r.pushImage("team/app", "v3", own) // what was collected can come back
}

// stored looks for the data of a blob.
func stored(t *testing.T, c *s3.Client, dgst string) bool {
	t.Helper()
	_, sum, _ := strings.Cut(dgst, ":")
	for _, key := range keysOf(t, c, registryBucket) {
		if strings.HasSuffix(key, "/"+sum+"/data") {
			return true
		}
	}
	return false
}
