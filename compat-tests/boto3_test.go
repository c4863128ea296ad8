//go:build compat

package compat

import (
	"strings"
	"testing"
)

// TestBoto3 runs boto3/test_boto3.py with pytest.
func TestBoto3(t *testing.T) {
	t.Parallel()
	python := tool(t, "python")
	certFile, keyFile, _ := writeCertificate(t, t.TempDir(), "boto3")
	plain := startServer(t)
	secure := startServer(t, "--tls-cert", certFile, "--tls-key", keyFile)
	for name, s := range map[string]*server{"http": plain, "https": secure} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "https" { // there boto3 sends unsigned bodies with trailers
				s.endpoint = strings.Replace(s.endpoint, "http:", "https:", 1)
			}
			env := append(s.awsEnv(t), "COMPAT_CA="+certFile, "PYTHONDONTWRITEBYTECODE=1")
			out := runTool(t, env, python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", "boto3/test_boto3.py")
			lines := strings.Split(strings.TrimSpace(out), "\n")
			t.Log(lines[len(lines)-1])
		})
	}
}
